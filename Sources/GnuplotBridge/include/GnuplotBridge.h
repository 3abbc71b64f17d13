#ifndef ATROUS_GNUPLOT_BRIDGE_H
#define ATROUS_GNUPLOT_BRIDGE_H

#ifdef __cplusplus
extern "C" {
#endif

// The numbers of one `'-'` of a plot command, row by row.
typedef struct {
    const double *values;
    int rows;
    int columns;
} atrous_plot_data;

// Runs gnuplot on `commands`, whose plot commands take their data from `'-'`: `data` holds one entry for each, in order.
// `gnuplot` is the program's path, `scratch` a writable file name that takes gnuplot's own messages for the time.
// Returns 0, or 1 with a line of text in `error` where gnuplot could not be run or complained.
int atrous_gnuplot_run(const char *gnuplot, const char *scratch, const char *const *commands, const atrous_plot_data *data,
                       const int *data_per_command, int command_count, char *error, int error_size);

#ifdef __cplusplus
}
#endif

#endif
