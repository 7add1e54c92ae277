/* t/fuzz/fuzz_binary.c: any bytes as binary requests. */
#include "proto/binary.h"
#include "t/fuzz/parse.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 0)
		fuzz_stream(binary_parse, data, size);
	return 0;
}
