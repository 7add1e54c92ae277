/* server/auth.c: see auth.h. */
#include "server/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/lock.h"
#include "base/log.h"
#include "server/auth_sasl.h"

/* Bytes of a file. */
#define FILE_MAX ((size_t)1 << 20)

/* Zeros fill what is left. */
struct entry {
	uint32_t user_len, password_len;
	char user[AUTH_TEXT_MAX + 1];
	char password[AUTH_TEXT_MAX + 1];
};

struct entries {
	unsigned count;
	struct entry list[];
};

struct auth {
	enum auth_kind kind;
	const char *path;
	struct lock lock; /* guards the rest */
	struct entries *entries;
	struct stat seen; /* the file as it was read */
};

/* ---------------------------------------------------------------- reading */

static void
entry_set(struct entry *e, struct slice user, struct slice password)
{
	memset(e, 0, sizeof(*e));
	e->user_len = (uint32_t)user.len;
	e->password_len = (uint32_t)password.len;
	memcpy(e->user, user.ptr, user.len);
	memcpy(e->password, password.ptr, password.len);
}

static void
entries_free(struct entries *entries)
{
	if (entries != NULL)
		explicit_bzero(entries->list, entries->count * sizeof(entries->list[0]));
	free(entries);
}

/* What stands in front of the first CH of TEXT, or all of it. */
static struct slice
before(struct slice text, char ch)
{
	const char *at = text.len > 0 ? memchr(text.ptr, ch, text.len) : NULL;

	return at != NULL ? slice_of(text.ptr, (size_t)(at - text.ptr)) : text;
}

/* One line without its end. */
static bool
parse_line(enum auth_kind kind, struct slice line, struct entry *e)
{
	struct slice user, password;

	if (line.len > 0 && line.ptr[line.len - 1] == '\r')
		line.len--;
	user = before(line, ':');
	if (user.len == line.len)
		return false;
	password = slice_of(user.ptr + user.len + 1, line.len - user.len - 1);
	if (kind == AUTH_PWDB)
		password = before(password, ':');
	if (user.len > AUTH_TEXT_MAX || password.len > AUTH_TEXT_MAX)
		return false;
	entry_set(e, user, password);
	return true;
}

/* All lines; the last one needs no end. False where one is malformed. */
static bool
parse(enum auth_kind kind, struct slice text, struct entries *entries)
{
	while (text.len > 0) {
		struct slice line = before(text, '\n');

		if (entries->count == AUTH_ENTRIES_MAX ||
		    !parse_line(kind, line, &entries->list[entries->count]))
			return false;
		entries->count++;
		if (line.len < text.len)
			line.len++;
		text = slice_of(text.ptr + line.len, text.len - line.len);
	}
	return true;
}

/* The bytes of the file at PATH into TEXT, at most FILE_MAX; a negative errno where that fails. */
static ssize_t
read_file(const char *path, char *text, struct stat *seen)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, seen) != 0)
		n = -1;
	else
		while (len < FILE_MAX && (n = read(fd, text + len, FILE_MAX - len)) > 0)
			len += (size_t)n;
	if (n < 0)
		n = -errno;
	(void)close(fd);
	return n < 0 ? n : (ssize_t)len;
}

/* The file's entries; NULL, with the reason in the log. */
static struct entries *
load(const struct auth *a, struct stat *seen)
{
	size_t room = sizeof(struct entries) + AUTH_ENTRIES_MAX * sizeof(struct entry);
	struct entries *entries = calloc(1, room), *result = NULL;
	char *text = malloc(FILE_MAX);
	ssize_t len = entries != NULL && text != NULL ? read_file(a->path, text, seen) : -ENOMEM;

	if (len < 0)
		log_error("cannot read the password file %s: %s", a->path, strerror((int)-len));
	else if ((size_t)len == FILE_MAX || !parse(a->kind, slice_of(text, (size_t)len), entries))
		log_error("the password file %s has a malformed entry: lines are user:password, at "
			  "most %u of them",
		    a->path, AUTH_ENTRIES_MAX);
	else
		result = realloc(
		    entries, sizeof(struct entries) + entries->count * sizeof(struct entry));
	if (len > 0)
		explicit_bzero(text, (size_t)len);
	free(text);
	if (result == NULL)
		entries_free(entries);
	return result;
}

void
auth_reload(struct auth *a)
{
	struct stat seen = {0};
	struct entries *fresh, *old;

	if (a->kind == AUTH_SASL || (fresh = load(a, &seen)) == NULL)
		return;
	log_info("read %u users from %s", fresh->count, a->path);
	lock_take(&a->lock);
	old = a->entries;
	a->entries = fresh;
	a->seen = seen;
	lock_drop(&a->lock);
	entries_free(old);
}

/* Reads a file that was changed since. */
static void
follow_file(struct auth *a)
{
	struct stat now;
	bool same;

	if (stat(a->path, &now) != 0)
		return;
	lock_take(&a->lock);
	same = now.st_ino == a->seen.st_ino && now.st_size == a->seen.st_size &&
	    now.st_mtim.tv_sec == a->seen.st_mtim.tv_sec &&
	    now.st_mtim.tv_nsec == a->seen.st_mtim.tv_nsec;
	a->seen = now;
	lock_drop(&a->lock);
	if (!same)
		auth_reload(a);
}

/* ---------------------------------------------------------------- comparing */

/* Not 0 where they differ, in a time that does not depend on where. */
static unsigned
differ(const char *a, const char *b)
{
	unsigned char bits = 0;

	for (size_t i = 0; i <= AUTH_TEXT_MAX; i++)
		bits |= (unsigned char)(a[i] ^ b[i]);
	return bits;
}

/* All entries are looked at, whatever is found. */
static bool
find(const struct entries *entries, const struct entry *asked)
{
	bool found = false;

	for (unsigned i = 0; i < entries->count; i++) {
		const struct entry *e = &entries->list[i];
		unsigned bits = (e->user_len ^ asked->user_len) |
		    (e->password_len ^ asked->password_len) | differ(e->user, asked->user) |
		    differ(e->password, asked->password);

		found |= bits == 0;
	}
	return found;
}

bool
auth_check(struct auth *a, struct slice user, struct slice password)
{
	struct entry asked;
	bool found;

	if (a->kind == AUTH_PWDB)
		follow_file(a);
	if (user.len > AUTH_TEXT_MAX || password.len > AUTH_TEXT_MAX)
		return false;
	entry_set(&asked, user, password);
	lock_take(&a->lock);
	found = a->kind == AUTH_SASL ? auth_sasl_check(asked.user, asked.password)
				     : find(a->entries, &asked);
	lock_drop(&a->lock);
	explicit_bzero(&asked, sizeof(asked));
	return found;
}

/* ---------------------------------------------------------------- its life */

bool
auth_new(struct auth **out, enum auth_kind kind, const char *path)
{
	struct auth *a = calloc(1, sizeof(*a));
	bool good;

	if (a == NULL) {
		log_error("out of memory");
		return false;
	}
	a->kind = kind;
	a->path = path;
	lock_init(&a->lock, LOCK_AUTH);
	if (kind == AUTH_SASL)
		good = auth_sasl_init();
	else
		good = (a->entries = load(a, &a->seen)) != NULL;
	if (good)
		*out = a;
	else
		auth_free(&a);
	return good;
}

void
auth_free(struct auth **auth)
{
	struct auth *a = *auth;

	*auth = NULL;
	if (a == NULL)
		return;
	if (a->kind == AUTH_SASL)
		auth_sasl_fini();
	entries_free(a->entries);
	lock_fini(&a->lock);
	free(a);
}
