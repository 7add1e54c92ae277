/* t/fuzz/fuzz_meta.c: any bytes behind the name of a meta command. The second byte says which. */
#include "t/fuzz/parse.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char names[] = "gsdane";
	uint8_t *stream;

	if (size < 2)
		return 0;
	stream = malloc(size + 2);
	ASSERT(stream != NULL);
	stream[0] = data[0];
	stream[1] = 'm';
	stream[2] = (uint8_t)names[data[1] % 6];
	stream[3] = ' ';
	memcpy(stream + 4, data + 2, size - 2);
	fuzz_stream(classic_parse, stream, size + 2);
	free(stream);
	return 0;
}
