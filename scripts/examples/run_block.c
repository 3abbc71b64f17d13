/* Runs a block on an input of ones and prints the mean of its output.
 * cc run_block.c -I <prefix>/include -L <prefix>/lib -latrous -Wl,-rpath,<prefix>/lib -o run_block
 * ./run_block block.safetensors 20 20 [threads] [plan.csv] */
#include <atrous.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(void) {
    fprintf(stderr, "run_block: %s\n", atrous_last_error());
    return 1;
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: run_block FILE.safetensors HEIGHT WIDTH [THREADS] [PLAN.csv]\n");
        return 2;
    }
    int height = atoi(argv[2]), width = atoi(argv[3]), threads = argc > 4 ? atoi(argv[4]) : 1;
    atrous_block *block = atrous_load(argv[1]);
    if (!block) return fail();
    if (atrous_plan(block, 1, height, width, threads, argc > 5 ? argv[5] : NULL)) return fail();

    size_t pixels = (size_t)height * width;
    size_t inputs = pixels * atrous_input_channels(block), outputs = pixels * atrous_output_channels(block);
    float *input = malloc(inputs * sizeof *input), *output = malloc(outputs * sizeof *output);
    for (size_t i = 0; i < inputs; i++) input[i] = 1;
    if (atrous_run(block, input, output)) return fail();

    double sum = 0;
    for (size_t i = 0; i < outputs; i++) sum += output[i];
    printf("%zu outputs, mean %.6f, %zu bytes held\n", outputs, sum / outputs, atrous_memory_bytes(block));
    free(input);
    free(output);
    atrous_free(block);
    return 0;
}
