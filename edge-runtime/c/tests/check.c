/* Loads the golden model as a C program would, runs it, and is refused what should be refused. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "trishift.h"

/* assert() stays in: this program is its assertions. */
#ifdef NDEBUG
#error "compile without NDEBUG"
#endif

static trishift_model *load(const char *path)
{
    FILE *file = fopen(path, "rb");
    static unsigned char bytes[1 << 16];
    size_t length;
    trishift_model *model = NULL;
    assert(file != NULL);
    length = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    assert(trishift_load(bytes, length, 2, &model) == TRISHIFT_STATUS_OK);
    /* The model has its own copy. */
    memset(bytes, 0, sizeof bytes);
    assert(trishift_load(bytes, 10, 1, &model) == TRISHIFT_STATUS_MODEL);
    assert(strstr(trishift_error(), "10 bytes") != NULL);
    return model;
}

int main(int argc, char **argv)
{
    enum { INPUTS = 12, OUTPUTS = 3, SAMPLES = 700 };
    static int8_t input[SAMPLES * INPUTS];
    static int32_t one[OUTPUTS], all[SAMPLES * OUTPUTS];
    float values[2 * INPUTS] = {0};
    int8_t quantized[2 * INPUTS];
    trishift_description description;
    trishift_model *model = NULL, *copy;
    size_t sample, i;

    assert(argc == 2);
    assert(trishift_open("no such file", 0, &model) == TRISHIFT_STATUS_FILE && model == NULL);
    assert(strstr(trishift_error(), "no such file") != NULL);
    assert(trishift_open(NULL, 0, &model) == TRISHIFT_STATUS_ARGUMENT);
    assert(trishift_open(argv[1], 0, NULL) == TRISHIFT_STATUS_ARGUMENT);
    assert(trishift_open(argv[1], 0, &model) == TRISHIFT_STATUS_OK);
    copy = load(argv[1]);

    assert(trishift_describe(NULL, &description) == TRISHIFT_STATUS_ARGUMENT);
    assert(trishift_describe(model, &description) == TRISHIFT_STATUS_OK);
    assert(strcmp(description.name, "golden") == 0 && strlen(description.kernels) > 0);
    assert(description.inputs == INPUTS && description.outputs == OUTPUTS);
    assert(description.output_bytes == 4 && description.output_exponent == -7 && description.macs == 350);
    assert(strcmp(trishift_label(model, 1), "wave") == 0 && trishift_label(model, 3) == NULL);

    for (i = 0; i < sizeof input; i++)
        input[i] = (int8_t)(i * 37 % 256 - 128);
    assert(trishift_run_int32(model, input, sizeof input, all, SAMPLES * OUTPUTS) == TRISHIFT_STATUS_OK);
    for (sample = 0; sample < SAMPLES; sample++) {
        assert(trishift_run_int32(copy, input + sample * INPUTS, INPUTS, one, OUTPUTS) == TRISHIFT_STATUS_OK);
        assert(memcmp(one, all + sample * OUTPUTS, sizeof one) == 0);
    }
    /* Else the comparison would say nothing. */
    assert(memcmp(all, all + OUTPUTS, sizeof one) != 0);

    assert(trishift_run_int32(model, input, INPUTS - 1, one, OUTPUTS) == TRISHIFT_STATUS_ARGUMENT);
    assert(trishift_run_int32(model, input, INPUTS, one, OUTPUTS - 1) == TRISHIFT_STATUS_ARGUMENT);
    assert(trishift_run_int32(model, NULL, INPUTS, one, OUTPUTS) == TRISHIFT_STATUS_ARGUMENT);
    assert(trishift_run_int8(model, input, INPUTS, quantized, OUTPUTS) == TRISHIFT_STATUS_ARGUMENT);
    assert(strstr(trishift_error(), "trishift_run_int32") != NULL);

    assert(trishift_quantize(model, values, 2 * INPUTS, quantized) == TRISHIFT_STATUS_OK);
    assert(memcmp(quantized, quantized + INPUTS, INPUTS) == 0);
    assert(trishift_quantize(model, values, INPUTS + 1, quantized) == TRISHIFT_STATUS_ARGUMENT);

    trishift_free(model);
    trishift_free(copy);
    trishift_free(NULL);
    return 0;
}
