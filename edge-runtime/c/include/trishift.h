/* trishift: ternary networks with integer arithmetic. Made by cbindgen from edge-runtime/c/src; do not edit.
 *
 *     trishift_model *model;
 *     if (trishift_open("model.tsm", 0, &model) != TRISHIFT_STATUS_OK) { puts(trishift_error()); return 1; }
 *     trishift_run_int32(model, input, inputs, logits, outputs);
 *     trishift_free(model);
 */

#ifndef TRISHIFT_H
#define TRISHIFT_H

#include <stddef.h>
#include <stdint.h>

// How a call ended.
typedef enum trishift_status {
  // As it should.
  TRISHIFT_STATUS_OK = 0,
  // A null pointer, a text that is not UTF-8, or a length that does not go with the model.
  TRISHIFT_STATUS_ARGUMENT = 1,
  // The file cannot be read.
  TRISHIFT_STATUS_FILE = 2,
  // The file is not a valid model.
  TRISHIFT_STATUS_MODEL = 3,
  // The machine has not got the memory or the threads.
  TRISHIFT_STATUS_MACHINE = 4,
  // The input asks for a row that an embedding's table does not have.
  TRISHIFT_STATUS_INPUT = 5,
  // A defect of trishift.
  TRISHIFT_STATUS_DEFECT = 6,
} trishift_status;

// A model that is ready to run.
typedef struct trishift_model trishift_model;

// What there is to know of a model. Texts are the model's, and gone with it.
typedef struct trishift_description {
  // Its name.
  const char *name;
  // The instruction set that it runs on.
  const char *kernels;
  // Elements of one sample's input, int8.
  size_t inputs;
  // Elements of one sample's output.
  size_t outputs;
  // Bytes of one element of the output: 1 for int8, 4 for int32.
  size_t output_bytes;
  // An output q means q·2^output_exponent.
  int32_t output_exponent;
  // Multiply-accumulate operations of one sample.
  uint64_t macs;
  // Bytes of the file.
  size_t file_bytes;
  // Bytes that the weights take beside it, in the order of the instruction set.
  size_t packed_bytes;
} trishift_description;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Reads a model file and makes it ready to run on `threads` threads; 0 is as many as the machine has. On success `*model`
// is a model to be freed by `trishift_free`; else it is left alone.
//
// # Safety
// `path` ends with a zero byte; `model` is valid for a write. Both may be null, which is refused.
enum trishift_status trishift_open(const char *path,
                                   size_t threads,
                                   struct trishift_model **model);

// The same from memory: `length` bytes, which are copied.
//
// # Safety
// `bytes` is valid for reads of `length` bytes, `model` for a write. Both may be null, which is refused.
enum trishift_status trishift_load(const uint8_t *bytes,
                                   size_t length,
                                   size_t threads,
                                   struct trishift_model **model);

// Frees a model. Null is allowed, and does nothing.
//
// # Safety
// `model` is null or from `trishift_open` or `trishift_load`, has not been freed, and nobody uses it any more.
void trishift_free(struct trishift_model *model);

// Writes what there is to know of a model to `*description`.
//
// # Safety
// `model` is a model or null, `description` is valid for a write or null; null is refused.
enum trishift_status trishift_describe(const struct trishift_model *model,
                                       struct trishift_description *description);

// The name of the output's element `index`, or null where the model has none.
//
// # Safety
// `model` is a model or null. The text is the model's, and gone with it.
const char *trishift_label(const struct trishift_model *model, size_t index);

// Quantises raw values, `length` of them, a whole number of samples, to the int8 inputs of the model.
//
// # Safety
// `model` is a model; `values` is valid for reads of `length` elements, `input` for as many writes, and they do not
// overlap. Any may be null, which is refused.
enum trishift_status trishift_quantize(const struct trishift_model *model,
                                       const float *values,
                                       size_t length,
                                       int8_t *input);

// Runs a model whose outputs are int32 on any number of samples: `input` is [samples, inputs], `output` [samples,
// outputs], sample after sample. Threads may run one model at the same time.
//
// # Safety
// `model` is a model; `input` is valid for reads of `input_length` elements, `output` for writes of `output_length`, and
// they do not overlap. Any may be null, which is refused.
enum trishift_status trishift_run_int32(const struct trishift_model *model,
                                        const int8_t *input,
                                        size_t input_length,
                                        int32_t *output,
                                        size_t output_length);

// The same for a model whose outputs are int8.
//
// # Safety
// As `trishift_run_int32`.
enum trishift_status trishift_run_int8(const struct trishift_model *model,
                                       const int8_t *input,
                                       size_t input_length,
                                       int8_t *output,
                                       size_t output_length);

// The sentence of this thread's last call that failed; empty where none has. It stays until the next one fails.
const char *trishift_error(void);

// The sentence of this thread's last call that failed; empty where none has. It stays until the next one fails.
const char *trishift_error(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* TRISHIFT_H */
