// The only place that knows gnuplot-iostream: Swift sees the C header alone, and no exception or signal crosses it.

#include "GnuplotBridge.h"

#include <gnuplot-iostream.h>

#include <csignal>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

namespace {

// For a shell: in single quotes, with those inside it taken out of them.
std::string quoted(const std::string &text) {
    std::string result = "'";
    for (char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return result + "'";
}

void fail(char *error, int size, const std::string &text) { std::snprintf(error, static_cast<size_t>(size), "%s", text.c_str()); }

// The first line that says something.
std::string first_line(const std::string &path) {
    std::ifstream file(path);
    std::string line, caret;
    while (std::getline(file, line)) {
        const bool empty = line.find_first_not_of(" \t\r^") == std::string::npos;
        const bool warning = line.find("warning") != std::string::npos;
        // gnuplot echoes the offending command before the complaint, which begins with "line" or the program's name.
        if (!empty && !warning && line.find("line ") != std::string::npos) return line;
        if (!empty && !warning && caret.empty()) caret = line;
    }
    return caret;
}

}  // namespace

int atrous_gnuplot_run(const char *gnuplot, const char *scratch, const char *const *commands, const atrous_plot_data *data,
                       const int *data_per_command, int command_count, char *error, int error_size) {
    // A gnuplot that dies early must not take this process along.
    struct sigaction ignore = {}, before = {};
    ignore.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &ignore, &before);
    bool ok = true;
    try {
        {
            // gnuplot-iostream reports a failed child on std::cerr only: the shell notes the failure instead.
            Gnuplot gp(quoted(gnuplot) + " 2>" + quoted(scratch) + " || echo 'line 0: gnuplot failed' >>" + quoted(scratch));
            for (int c = 0; c < command_count; c++) {
                gp << commands[c] << "\n";
                for (int d = 0; d < data_per_command[c]; d++, data++) {
                    std::vector<std::vector<double>> rows(static_cast<size_t>(data->rows));
                    for (int r = 0; r < data->rows; r++)
                        rows[static_cast<size_t>(r)].assign(data->values + r * data->columns,
                                                            data->values + (r + 1) * data->columns);
                    gp.send1d(rows);
                }
            }
            gp.flush();
        }
        const std::string line = first_line(scratch);
        if (!line.empty()) {
            fail(error, error_size, line);
            ok = false;
        }
    } catch (const std::exception &problem) {
        fail(error, error_size, problem.what());
        ok = false;
    } catch (...) {
        fail(error, error_size, "gnuplot could not be run");
        ok = false;
    }
    std::remove(scratch);
    sigaction(SIGPIPE, &before, nullptr);
    return ok ? 0 : 1;
}
