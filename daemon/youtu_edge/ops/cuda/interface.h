/* The kernels of libyoutu_edge_ops_cuda.so as C functions. No GPU has run them yet.
 *
 * Pointers are device pointers, except those to the structures themselves, which are read before a function returns.
 * `stream` is a cudaStream_t; a function only enqueues. Each returns a cudaError_t: 0, cudaErrorInvalidValue (1) for sizes
 * that are not supported or pointers that are not aligned, or the error of the launch. Nothing is written then.
 *
 * Matrices and activations begin on 16 bytes. What depends on the contents of device memory (token ids, lengths, block
 * tables) is checked by the caller, who knows it on the host; a kernel reads and writes only where it says here.
 *
 * docs/package-format.md has the layout of matrices; tests/ops/reference.py defines every operator. */
#ifndef YOUTU_EDGE_OPS_CUDA_INTERFACE_H
#define YOUTU_EDGE_OPS_CUDA_INTERFACE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define YOUTU_CUDA_INTERFACE 2

/* A matrix as it lies in weights.bin: `heads` times [rows, k] in tiles of 16 rows. */
struct YoutuMatrix {
  const uint8_t* codes;       /* [tiles, k * bits / 32, 16, 4] */
  const uint16_t* scales;     /* float16 [tiles, k / block, 16] */
  const uint8_t* zero_points; /* the same shape; null: 8 or 128 */
  const uint16_t* minimums;   /* float16, the same shape; null without; never beside zero_points */
  int64_t rows;               /* of one head */
  int64_t k;                  /* a multiple of block */
  int32_t bits;               /* 4 or 8 */
  int32_t block;              /* 16, 32, 64, 128 or 256 */
  int32_t heads;
};

/* Activations [rows, width] of eight bits, x = codes * scale, in blocks of `block` values. */
struct YoutuActivations {
  int8_t* codes;        /* [rows, width] */
  float* scales;        /* [rows, width / block]; as the next two */
  float* negative_sums; /* minus the sum of the codes of a block */
  float* totals;        /* the sum of the values of a block */
};

/* One call of PagedAttention: youtu_edge.PagedAttention of the graph, with a float16 cache. */
struct YoutuAttention {
  const float* query;           /* [tokens, query_stride]: heads * width of them */
  const float* key;             /* [tokens, key_stride]: kv_heads * width */
  const float* value;           /* [tokens, value_stride]: kv_heads * width; null for LATENT */
  uint16_t* key_cache;          /* float16 [pages * page_tokens, kv_heads, width]; written where a slot is given */
  uint16_t* value_cache;        /* the same; null for LATENT, whose values are the first value_width of a key */
  const int32_t* cumulative;    /* [sequences + 1] */
  const int32_t* past;          /* [sequences] */
  const int32_t* block_table;   /* [sequences, table_width]; -1: a page that is not seen */
  const float* cos;             /* [positions, rope_half]; null without rotary */
  const float* sin;
  const int32_t* slots;         /* [tokens]; null: where the block table puts a position; -1: not written */
  float* output;                /* [tokens, heads * value_width] */
  void* workspace;              /* youtu_cuda_attention_workspace() bytes; contents do not matter */
  int64_t query_stride, key_stride, value_stride; /* in values */
  int64_t tokens, sequences, table_width;
  int64_t max_total;            /* at least past + new tokens of every sequence; how the work is cut, which changes no bit */
  int32_t page_tokens, heads, kv_heads, width, value_width;
  int32_t rope_half, rope_offset, interleaved;
  int32_t window;               /* 0: unlimited */
  int32_t causal, bidirectional_prefix;
  float scale, softcap;
};

/* YOUTU_CUDA_INTERFACE of the library: structures of another version do not fit. */
int32_t youtu_cuda_interface(void);

/* A GPU. */
struct YoutuDevice {
  int64_t total;          /* bytes of its memory; of the machine's where they share it */
  int32_t integrated;     /* 1: it shares the memory of the processor */
  int32_t major, minor;   /* compute capability */
  int32_t driver;         /* the CUDA that the driver supports, as 12060 for 12.6; 0: no driver */
  int32_t runtime;        /* the CUDA that this library was built with */
  char name[64];
};

/* Takes device `ordinal` for this process. Always fills in driver and runtime. Errors besides those of CUDA: none; 100: no
 * GPU, 35: the driver is older than the library, 209: the library has no code for this GPU. */
int32_t youtu_cuda_open(int32_t ordinal, struct YoutuDevice* device);

/* Bytes of the device that are free, and those that this library holds: weights, scratch and what was allocated. */
int32_t youtu_cuda_memory(int64_t* free_bytes, int64_t* held_bytes);

/* Memory of the device, on 256 bytes and filled with zeros. */
int32_t youtu_cuda_allocate(int64_t bytes, void** address);
int32_t youtu_cuda_free(void* address);

/* Memory of the host that the device reads and writes by itself; contents do not matter. Freed when nothing is enqueued. */
int32_t youtu_cuda_pin(int64_t bytes, void** address);
int32_t youtu_cuda_unpin(void* address);

/* Copies and waits. direction: 0 to the device, 1 to the host, 2 within the device. */
int32_t youtu_cuda_copy(void* target, const void* source, int64_t bytes, int32_t direction);

/* Waits for everything. What it returns between two calls is the state of the device: an error here never goes away. */
int32_t youtu_cuda_synchronise(void);

/* Frees what the operators keep from call to call, while none runs. The next call takes what it needs. */
int32_t youtu_cuda_free_scratch(void);

/* What CUDA says of an error. */
const char* youtu_cuda_error_text(int32_t code);

/* x [rows, width] -> activations. */
int32_t youtu_cuda_quantise(const float* x, int64_t rows, int64_t width, int32_t block,
                            const struct YoutuActivations* activations, void* stream);

/* y [rows, heads * matrix.rows] of activations [rows, heads * k] in blocks of the matrix. The bits of the CPU's Linear. */
int32_t youtu_cuda_linear(const struct YoutuMatrix* matrix, const struct YoutuActivations* activations, int64_t rows,
                          float* y, void* stream);

/* Rows ids [count] of a matrix of one head -> [count, k]. A row of an id that is not in the matrix is NaN. */
int32_t youtu_cuda_embedding(const struct YoutuMatrix* matrix, const int64_t* ids, int64_t count, float* output,
                             void* stream);

/* RmsNorm of x, or of x + residual, which also goes to total, where residual is not null. All [rows, width]. */
int32_t youtu_cuda_rms_norm(const float* x, const float* residual, const float* gain, float epsilon, float* total,
                            float* output, int64_t rows, int64_t width, void* stream);

/* gate_up [rows, 2 * width] = [gate | up] -> silu(gate) * up [rows, width]. */
int32_t youtu_cuda_swiglu(const float* gate_up, float* output, int64_t rows, int64_t width, void* stream);

/* The same with gelu(gate), in its tanh form. */
int32_t youtu_cuda_geglu(const float* gate_up, float* output, int64_t rows, int64_t width, void* stream);

/* Bytes of workspace of a call, which only its sizes decide; negative for a call that is not supported. */
int64_t youtu_cuda_attention_workspace(const struct YoutuAttention* call);

/* Stores the new keys, then attends. */
int32_t youtu_cuda_attention(const struct YoutuAttention* call, void* stream);

#ifdef __cplusplus
}
#endif

#endif
