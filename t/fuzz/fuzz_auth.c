/* t/fuzz/fuzz_auth.c: any password file, in both of its formats. Whoever a good file lets in is still let in after it is read
 * again. The first byte chooses the format. What is wrong with a file is logged, and dropped. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "server/auth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file in memory with the bytes; its name is put into PATH. */
static int
file_of(const uint8_t *data, size_t size, char *path, size_t path_size)
{
	int fd = memfd_create("passwords", MFD_CLOEXEC);

	ASSERT(fd >= 0);
	ASSERT(write(fd, data, size) == (ssize_t)size);
	(void)snprintf(path, path_size, "/proc/self/fd/%d", fd);
	return fd;
}

/* Takes the bytes for a name and a password, divided at the first colon. */
static bool
enters(struct auth *auth, const uint8_t *data, size_t size)
{
	struct slice user = slice_of((const char *)data, size), password = slice_of("", 0);

	for (size_t i = 0; i < size && password.len == 0; i++) {
		if (data[i] != ':')
			continue;
		user.len = i;
		password = slice_of((const char *)data + i + 1, size - i - 1);
	}
	return auth_check(auth, user, password);
}

/* auth_new, while what is logged is dropped. */
static bool
read_quietly(struct auth **auth, enum auth_kind kind, const char *path)
{
	int err = dup(STDERR_FILENO), nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	bool good;

	ASSERT(err >= 0 && nowhere >= 0);
	(void)dup2(nowhere, STDERR_FILENO);
	good = auth_new(auth, kind, path);
	(void)dup2(err, STDERR_FILENO);
	(void)close(nowhere);
	(void)close(err);
	return good;
}

static void
look(const char *path, enum auth_kind kind, const uint8_t *data, size_t size)
{
	struct auth *auth;
	bool entered;

	if (!read_quietly(&auth, kind, path))
		return;
	entered = enters(auth, data, size);
	auth_reload(auth);
	ASSERT(enters(auth, data, size) == entered);
	auth_free(&auth);
	ASSERT(auth == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[64];
	int fd;

	if (size == 0)
		return 0;
	fd = file_of(data + 1, size - 1, path, sizeof(path));
	look(path, data[0] % 2 == 0 ? AUTH_FILE : AUTH_PWDB, data + 1, size - 1);
	(void)close(fd);
	return 0;
}
