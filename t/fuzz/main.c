/* t/fuzz/main.c: runs a fuzz target over files, where there is no libFuzzer: those named, or else the corpus of the
 * target, which is t/corpus/<name> for the program fuzz_<name>.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
run_file(const char *path)
{
	static uint8_t data[1 << 20];
	FILE *file = fopen(path, "rb");
	uint8_t *exact;
	size_t size;

	if (file == NULL)
		panic("cannot open %s", path);
	size = fread(data, 1, sizeof(data), file);
	(void)fclose(file);
	exact = malloc(size > 0 ? size : 1);
	ASSERT(exact != NULL);
	memcpy(exact, data, size);
	(void)LLVMFuzzerTestOneInput(exact, size);
	free(exact);
}

static unsigned
run_corpus(const char *program)
{
	const char *srcdir = getenv("srcdir"), *name = strstr(program, "fuzz_");
	unsigned count = 0;
	struct dirent *entry;
	char path[4096];
	DIR *dir;
	int n;

	if (name == NULL)
		panic("%s is not named after its corpus", program);
	n = snprintf(path, sizeof(path), "%s/t/corpus/%s", srcdir != NULL ? srcdir : ".", name + 5);
	dir = opendir(path);
	if (dir == NULL)
		panic("cannot read %s", path);
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(path + n, sizeof(path) - (size_t)n, "/%s", entry->d_name);
		run_file(path);
		count++;
	}
	(void)closedir(dir);
	return count;
}

int
main(int argc, char **argv)
{
	unsigned count = (unsigned)argc - 1;

	for (int i = 1; i < argc; i++)
		run_file(argv[i]);
	if (argc == 1)
		count = run_corpus(argv[0]);
	printf("%u inputs\n", count);
	return count > 0 ? 0 : 1;
}
