/* t/fuzz/fuzz_settings.c: any command line: words end at NULs and line ends. What is taken must give a store's options, and
 * settings that print. What the parser prints is dropped. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "server/options.h"

#define WORDS_MAX 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
look(void *context, const char *name, const char *value)
{
	size_t *length = context;

	*length += strlen(name) + strlen(value);
}

static int
split(char *text, size_t size, char **argv)
{
	int argc = 1;
	bool inside = false;

	for (size_t i = 0; i < size; i++) {
		bool ends = text[i] == '\0' || text[i] == '\n';

		if (ends)
			text[i] = '\0';
		else if (!inside && argc < WORDS_MAX)
			argv[argc++] = text + i;
		inside = !ends;
	}
	argv[argc] = NULL;
	return argc;
}

static void
parse(int argc, char **argv)
{
	struct store_options options;
	struct settings settings;
	size_t length = 0;
	int status = 0;

	settings_init(&settings);
	if (options_parse(&settings, argc, argv, &status)) {
		settings_store_options(&settings, &options);
		settings_stats(&settings, look, &length);
		ASSERT(length > 0 && options.memory_limit > 0);
	}
	settings_fini(&settings);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FILE *out = stdout, *err = stderr, *nowhere = fopen("/dev/null", "w");
	char name[] = "ringcached", *argv[WORDS_MAX + 1] = {name};
	char *text = malloc(size + 1);
	int argc;

	ASSERT(nowhere != NULL && text != NULL);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	argc = split(text, size, argv);
	stdout = stderr = nowhere;
	parse(argc, argv);
	stdout = out;
	stderr = err;
	(void)fclose(nowhere);
	free(text);
	return 0;
}
