/* Atrous in C: a trained dilated depthwise-separable block, loaded, planned and run.
 *
 * All maps are float32. A function that fails says why in atrous_last_error(), NULL for a block included. Different blocks may be
 * used from different threads at the same time; one block by one thread at a time. Names of files are UTF-8.
 */
#ifndef ATROUS_H
#define ATROUS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A block's parameters and, once planned, everything that it needs to run. */
typedef struct atrous_block atrous_block;

/* Loads a safetensors file: parameters by their state_dict names, the block's settings in the metadata (variant, act
 * and bn_eps, as scripts/expand_conv.py writes them, or block, the text of a block file). Batch norm is folded. NULL on failure. */
atrous_block *atrous_load(const char *path);

/* The same of a file whose metadata do not say what it holds, as a plain export of a state_dict: variant is listing, literal or rfb,
 * activation none, relu, silu or hardswish, epsilon that of batch norm (PyTorch 1e-5, YOLOv5 1e-3). NULL, NULL and 0 leave each to the
 * metadata, which it may not contradict. */
atrous_block *atrous_load_as(const char *path, const char *variant, const char *activation, double epsilon);

/* Channels of the input and of the output; -1 on failure. */
int atrous_input_channels(const atrous_block *block);
int atrous_output_channels(const atrous_block *block);

/* Packs weights and takes all memory for inputs of batch x channels x height x width, on so many threads (the calling one
 * among them). `plan` names a CSV file of `atrous pick --block ... --out`, or is NULL for kernels chosen unmeasured. A block
 * may be planned again, for another size. Sizes go up to 2^24, threads up to 1024. 0, or -1 on failure: then an earlier plan stays.
 * ATROUS_ISA=baseline|v3|v4 in the environment caps the instruction set; a plan of kernels above it is refused. A plan that names a
 * kernel of OpenBLAS loads that library and sets OPENBLAS_CORETYPE in the environment; nothing else changes the process. */
int atrous_plan(atrous_block *block, int batch, int height, int width, int threads, const char *plan);

/* Bytes that planning took: maps, scratch, packed weights, biases, and the weights of kernels that do not pack; the parameters that
 * atrous_load read are not among them. 0 before it is planned, and on failure. */
size_t atrous_memory_bytes(const atrous_block *block);

/* Reads [batch][channels][height][width] and writes the same with the output's channels; the two may not overlap. Allocates nothing, on
 * any number of threads (OpenBLAS does of itself for small products, where a plan names it). What is not finite, in the input or by overflow, makes outputs that are not. 0, or -1 where the block is not
 * planned or a pointer is NULL. */
int atrous_run(atrous_block *block, const float *input, float *output);

/* NULL is allowed. */
void atrous_free(atrous_block *block);

/* One line about the last failure of the calling thread; "" where there was none. Valid until its next failure. */
const char *atrous_last_error(void);

#ifdef __cplusplus
}
#endif
#endif
