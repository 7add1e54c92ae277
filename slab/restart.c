/* slab/restart.c: a store that outlives its process.
 *
 * With a memory file, pages lie in that file (on a tmpfs, say) and references, being offsets, hold in the next process as
 * well. What else is needed is written beside it when the store is saved: FILE.meta holds the classes with the ends
 * of their queues, and each page with a checksum of its bytes. The next store on the same file takes that up: it
 * believes nothing before all checksums agree, follows the queues, enters each item into a new index, and makes
 * free chunks of all that it did not reach. FILE.meta is removed first, so that a process which ends without saving
 * leaves nothing that could be taken for sound.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xxhash.h>

#include "slab/hot.h"
#include "slab/impl.h"

#define META_MAGIC  "RCSTORE\n"
#define META_FORMAT 4u

/* FILE.meta: a head, CLASSES classes (from 1), PAGES pages (from 0). Native byte order; another order shows in FORMAT. */
struct meta_head {
	char magic[8];
	uint32_t format;
	uint32_t page_shift, page_ref_shift, classes, pages, pages_limit;
	uint32_t now, flush_at;
	uint64_t wall; /* seconds of the calendar clock when it was saved */
	uint64_t sequence, flush_version, item_size_max;
	uint64_t sum; /* of this head with SUM 0, then of all that follows */
};

struct meta_class {
	uint32_t chunk_size, pages;
	struct queue small, main;
};

struct meta_page {
	uint32_t slab_class, carved;
	uint64_t sum; /* of the carved bytes */
};

static_assert(sizeof(struct meta_head) == 80 && sizeof(struct meta_page) == 16, "layout");

struct meta {
	struct meta_head *head;
	struct meta_class *classes; /* [0] is class 1 */
	struct meta_page *pages;
	size_t size;
};

static bool
meta_path(const struct store *st, const char *suffix, char *path, size_t room)
{
	int n = snprintf(path, room, "%s.meta%s", st->options.memory_file, suffix);

	return n > 0 && (size_t)n < room;
}

/* Lays the three parts out in one block of memory. */
static bool
meta_alloc(struct meta *m, uint32_t classes, uint32_t pages)
{
	m->size = sizeof(*m->head) + sizeof(*m->classes) * classes + sizeof(*m->pages) * pages;
	m->head = calloc(1, m->size);
	if (m->head == NULL)
		return false;
	m->classes = (struct meta_class *)(void *)(m->head + 1);
	m->pages = (struct meta_page *)(void *)(m->classes + classes);
	return true;
}

static uint64_t
meta_sum(struct meta *m)
{
	uint64_t kept = m->head->sum, sum;

	m->head->sum = 0;
	sum = XXH3_64bits(m->head, m->size);
	m->head->sum = kept;
	return sum;
}

static uint64_t
page_sum(const struct store *st, uint32_t page, size_t bytes)
{
	return XXH3_64bits(st->arena.base + ((size_t)page << st->page_shift), bytes);
}

/* ---------------------------------------------------------------- saving */

static void
meta_fill(const struct store *st, struct meta *m, uint64_t wall)
{
	*m->head = (struct meta_head){.format = META_FORMAT,
	    .page_shift = st->page_shift,
	    .page_ref_shift = st->page_ref_shift,
	    .classes = st->nclasses,
	    .pages = st->pages_made,
	    .pages_limit = st->pages_limit,
	    .now = st->now,
	    .flush_at = st->flush_at,
	    .wall = wall,
	    .sequence = st->sequence,
	    .flush_version = st->flush_version,
	    .item_size_max = st->options.item_size_max};
	memcpy(m->head->magic, META_MAGIC, sizeof(m->head->magic));
	for (uint32_t id = 1; id <= st->nclasses; id++) {
		const struct slab_class *c = &st->classes[id];

		m->classes[id - 1] =
		    (struct meta_class){c->chunk_size, c->npages, c->small, c->main};
	}
	for (uint32_t page = 0; page < st->pages_made; page++) {
		uint32_t id = st->page_class[page];
		uint32_t carved = id == 0 ? 0 : st->pages[page].carved;

		m->pages[page] = (struct meta_page){
		    id, carved, page_sum(st, page, (size_t)carved * st->classes[id].chunk_size)};
	}
	m->head->sum = meta_sum(m);
}

static bool
write_all(int fd, const char *data, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, data, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		data += done;
		n -= (size_t)done;
	}
	return true;
}

/* The file appears whole or not at all. */
static int
meta_write(const struct store *st, const struct meta *m)
{
	char path[4096], made[4096];
	int fd, error = 0;

	if (!meta_path(st, "", path, sizeof(path)) || !meta_path(st, ".new", made, sizeof(made)))
		return -ENAMETOOLONG;
	fd = open(made, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (!write_all(fd, (const char *)m->head, m->size) || fsync(fd) != 0)
		error = -errno;
	if (close(fd) != 0 && error == 0)
		error = -errno;
	if (error == 0 && rename(made, path) != 0)
		error = -errno;
	if (error != 0)
		(void)unlink(made);
	return error;
}

int
store_save(struct store *st, uint64_t wall)
{
	struct meta m;
	int error;

	if (st->options.memory_file == NULL)
		return -EINVAL;
	if (msync(st->arena.base, st->arena.committed, MS_SYNC) != 0)
		return -errno;
	if (!meta_alloc(&m, st->nclasses, st->pages_made))
		return -ENOMEM;
	meta_fill(st, &m, wall);
	error = meta_write(st, &m);
	free(m.head);
	return error;
}

/* ---------------------------------------------------------------- taking up */

/* Reads FILE.meta and removes it; NULL = it was there and is whole, else why not. */
static const char *
meta_read(const struct store *st, struct meta *m)
{
	char path[4096];
	struct stat info;
	const char *error = NULL;
	int fd;

	m->head = NULL;
	if (!meta_path(st, "", path, sizeof(path)))
		return "the memory file's name is too long";
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return "there is no .meta file beside the memory file: the last process did not save";
	(void)unlink(path);
	if (fstat(fd, &info) != 0 || info.st_size < (off_t)sizeof(struct meta_head) ||
	    info.st_size > 1 << 30)
		error = "the .meta file has no sound size";
	m->size = (size_t)info.st_size;
	if (error == NULL && (m->head = malloc(m->size)) == NULL)
		error = "no memory for the .meta file";
	if (error == NULL && read(fd, m->head, m->size) != (ssize_t)m->size)
		error = "the .meta file cannot be read";
	(void)close(fd);
	return error;
}

/* Whether the file describes a store like this one, and is sound itself. */
static const char *
meta_check(const struct store *st, struct meta *m)
{
	const struct meta_head *h = m->head;

	if (memcmp(h->magic, META_MAGIC, sizeof(h->magic)) != 0 || h->format != META_FORMAT)
		return "the .meta file is of another version";
	if (h->classes != st->nclasses || h->pages > st->pages_max ||
	    h->page_shift != st->page_shift || h->page_ref_shift != st->page_ref_shift ||
	    h->pages_limit != st->pages_limit || h->item_size_max != st->options.item_size_max)
		return "the memory file was made with another memory limit or item size";
	if (m->size !=
	    sizeof(*h) + sizeof(struct meta_class) * h->classes +
		sizeof(struct meta_page) * h->pages)
		return "the .meta file is torn";
	m->classes = (struct meta_class *)(void *)(m->head + 1);
	m->pages = (struct meta_page *)(void *)(m->classes + h->classes);
	if (meta_sum(m) != h->sum)
		return "the .meta file is damaged";
	for (uint32_t i = 0; i < h->classes; i++)
		if (m->classes[i].chunk_size != st->classes[i + 1].chunk_size)
			return "the memory file was made with other size classes";
	return NULL;
}

static const char *
pages_check(struct store *st, const struct meta *m)
{
	if (!reserve_grow(&st->arena, ((size_t)m->head->pages << st->page_shift) + READ_MARGIN))
		return "the memory file cannot be mapped";
	for (uint32_t page = 0; page < m->head->pages; page++) {
		const struct meta_page *p = &m->pages[page];

		if (p->slab_class > st->nclasses ||
		    (p->slab_class != 0 && p->carved > st->classes[p->slab_class].per_page))
			return "the .meta file is damaged";
		if (p->slab_class != 0 &&
		    page_sum(st, page, (size_t)p->carved * st->classes[p->slab_class].chunk_size) !=
			p->sum)
			return "the memory file is damaged or was changed after it was saved";
	}
	return NULL;
}

/* Gives the pages to their classes with all chunks taken; what is not reached is freed afterwards. */
static void
pages_take_up(struct store *st, const struct meta *m) NO_LOCK_ANALYSIS
{
	st->pages_made = m->head->pages;
	for (uint32_t page = m->head->pages; page-- > 0;) {
		struct slab_class *c = &st->classes[m->pages[page].slab_class];

		st->pages_held++;
		if (c->id == 0) {
			page_pool_give(st, page);
			continue;
		}
		if (!class_gain_page(st, c, page))
			continue; /* what lies in it will be missed */
		st->pages[page].carved = m->pages[page].carved;
		st->pages[page].used = m->pages[page].carved;
		st->pages[page].earliest = 1;
		c->used += m->pages[page].carved;
		if (st->pages[page].used == c->per_page)
			class_room_remove(st, c, page);
	}
	st->limit_kept = st->pages_held >= st->pages_limit;
}

/* Which chunks were reached: a bit for each that a page can have, from the smallest class's on. */
static bool
reached_before(const struct store *st, uint64_t *reached, uint32_t page, uint32_t n)
{
	size_t place = (size_t)page * st->classes[1].per_page + n;
	uint64_t bit = 1ull << (place % 64);
	bool before = reached[place / 64] & bit;

	reached[place / 64] |= bit;
	return before;
}

/* Whether REF names a carved chunk, seen for the first time. */
static bool
chunk_reach(const struct store *st, uint64_t *reached, uint32_t ref)
{
	uint32_t page, within;
	const struct slab_class *c;

	if (ref == 0 || (page = ref_page(st, ref)) >= st->pages_made || st->page_class[page] == 0)
		return false;
	c = &st->classes[st->page_class[page]];
	within = ref - page_chunk(st, page, c, 0);
	return within % c->ref_step == 0 && within / c->ref_step < st->pages[page].carved &&
	    !reached_before(st, reached, page, within / c->ref_step);
}

static bool
pieces_reach(const struct store *st, uint64_t *reached, uint32_t ref)
{
	uint64_t size = 0;
	uint32_t prev = 0;

	for (uint32_t p = item_aux(item_at(st, ref))->piece; p != 0; p = piece_at(st, p)->next) {
		if (!chunk_reach(st, reached, p) || piece_at(st, p)->owner != ref ||
		    piece_at(st, p)->prev != prev ||
		    piece_at(st, p)->used > st->classes[ref_class(st, p)].chunk_size - PIECE_HEADER)
			return false;
		size += piece_at(st, p)->used;
		prev = p;
	}
	return size == item_aux(item_at(st, ref))->size;
}

static bool
item_take_up(struct store *st, struct slab_class *c, uint64_t *reached, uint32_t ref)
{
	struct item *it = item_at(st, ref);

	if (!chunk_reach(st, reached, ref) || it->nkey == 0 || item_version(it) == 0 ||
	    item_head_size(it) > st->classes[ref_class(st, ref)].chunk_size ||
	    queue_class(st, it) != c)
		return false;
	if (vlen_pinnable(it->vlen))
		item_aux(it)->references = 1;
	if (item_is_large(it) && !pieces_reach(st, reached, ref))
		return false;
	c->bytes += item_asks(it);
	if (!index_insert(st, item_key(st, it).hash, ref))
		return false;
	if (item_is_copy(it)) {
		st->copies++;
		st->copy_bytes += item_asks(it);
	}
	index_grow(st);
	return true;
}

static bool
queue_take_up(struct store *st, struct slab_class *c, uint64_t *reached, struct queue *to,
    const struct queue *from)
{
	uint32_t prev = 0;

	for (uint32_t ref = from->head; ref != 0; ref = item_at(st, ref)->next) {
		if (!item_take_up(st, c, reached, ref) || item_at(st, ref)->prev != prev)
			return false;
		prev = ref;
		to->count++;
	}
	to->head = from->head;
	to->tail = from->tail;
	return to->tail == prev && to->count == from->count;
}

/* What was in the making or pinned when the store was saved is nobody's now. */
static void
free_unreached(struct store *st, uint64_t *reached)
{
	for (uint32_t page = 0; page < st->pages_made; page++) {
		struct slab_class *c = &st->classes[st->page_class[page]];

		for (uint32_t n = st->pages[page].carved; c->id != 0 && n-- > 0;)
			if (!reached_before(st, reached, page, n))
				class_give(st, page_chunk(st, page, c, n));
	}
}

/* After the checksums: any failure here is a bug of ours that was saved with a sound checksum. */
static bool
items_take_up(struct store *st, const struct meta *m)
{
	size_t chunks = (size_t)st->pages_made * st->classes[1].per_page;
	uint64_t *reached = calloc(chunks / 64 + 1, sizeof(*reached));
	bool sound = reached != NULL;

	for (uint32_t id = 1; sound && id <= st->nclasses; id++) {
		struct slab_class *c = &st->classes[id];

		sound = queue_take_up(st, c, reached, &c->small, &m->classes[id - 1].small) &&
		    queue_take_up(st, c, reached, &c->main, &m->classes[id - 1].main);
	}
	if (sound)
		free_unreached(st, reached);
	free(reached);
	return sound;
}

static void
clock_take_up(struct store *st, const struct meta_head *h, uint64_t wall)
{
	uint64_t away = wall > h->wall ? wall - h->wall : 0;

	st->now = away < LIFE_EXPIRY - h->now ? h->now + (uint32_t)away : LIFE_EXPIRY;
	st->flush_at = h->flush_at;
	st->sequence = h->sequence;
	st->flush_version = h->flush_version;
}

const char *
restart_take_up(struct store *st, bool *broken)
{
	struct meta m = {0};
	const char *error = meta_read(st, &m);

	*broken = false;
	if (error == NULL)
		error = meta_check(st, &m);
	if (error == NULL)
		error = pages_check(st, &m);
	if (error == NULL) {
		clock_take_up(st, m.head, st->options.wall);
		pages_take_up(st, &m);
		*broken = !items_take_up(st, &m);
		if (*broken)
			error = "the memory file is not sound";
	}
	free(m.head);
	return error;
}

int
memory_file_open(const char *path, size_t size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int error;

	if (fd < 0)
		return -errno;
	/* All of it now: a full tmpfs must be an error at the start, not a SIGBUS later. */
	error = posix_fallocate(fd, 0, (off_t)size);
	if (error == 0 && ftruncate(fd, (off_t)size) != 0)
		error = errno;
	if (error == 0)
		return fd;
	(void)close(fd);
	return -error;
}

bool
store_restarted(const struct store *st, const char **why)
{
	*why = st->restart_error;
	return st->restarted;
}
