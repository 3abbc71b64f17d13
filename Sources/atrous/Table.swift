import ConvCore
import OptionParsing
import Tuning

// Every command and option of the tool: what the parser, the help and the completion read.

/// What F.safetensors does not say itself, such as a plain state_dict.
private let settingOptions = [
    Option("variant", "NAME", "what block F.safetensors holds, where its metadata do not say: listing, literal or rfb"),
    Option("eps", "NUMBER", "its batch norm's epsilon, likewise: 1e-3 for YOLOv5, 1e-5 for PyTorch"),
]

/// Which problems.
private let problemOptions = [
    Option("problem", "TEXT", "a problem, in benchdnn's text or the short form (dw:c64h80k5d5, pw:c64o128h80, conv:c64o128h80k3d2, sep:c64o128h80k5d5)", repeatable: true),
    Option("problem-file", "FILE", "a benchdnn input file", repeatable: true, isPath: true),
    Option("preset", "NAME", "a preset of problems (`atrous list presets`)", repeatable: true),
    Option("block", "VARIANT|FILE", "the layers of a block: listing, literal, rfb, a JSON block file, or trained parameters, F.safetensors (verify holds the whole block against the activations in it)", repeatable: true, isPath: true),
] + settingOptions + [
    Option("size", "NxCxHxW", "the input of --block", default: "the input in F.safetensors, or 1x512x20x20"),
    Option("sizes", "LIST", "image sizes of the YOLOv5 presets", default: "640"),
    Option("variants", "LIST", "block variants of the YOLOv5 presets", default: "listing,literal,rfb"),
    Option("batches", "LIST", "batch sizes of the YOLOv5 presets", default: "1"),
    Option("separables", nil, "the separables of blocks and presets as one problem each, too (tune: always)"),
    Option("activation", "NAME", "replace every problem's activation; of F.safetensors, where its metadata do not say", choices: ["none", "relu", "silu", "hardswish"]),
    Option("filter", "REGEX", "only problems whose text or name matches"),
    Option("skip", "REGEX", "no problems whose text or name matches"),
]

/// Which kernels, and how they run.
private let kernelOptions = [
    Option("kernel", "REGEX", "only kernels whose name matches; kernel@configuration takes exactly that", repeatable: true),
    Option("family", "LIST", "only these families: naive, im2col, simd, tiled"),
    Option("isa", "LIST", "vector kernels of these levels: baseline, v3, v4 or all", readsEnvironment: false),
    Option("threads", "LIST", "thread counts", default: "1"),
    Option("seed", "N", "seed of inputs and order", default: "1"),
    Option("quiet", nil, "no progress and no notes"),
    Option("dry-run", nil, "print the cases and stop"),
    Option("faults", nil, "add three deliberately wrong kernels per layer, to see them caught (exit code 1)"),
]

private let cacheOption = Option(
    "cache", "MODE", "state of the caches before each run: warm, weights (cold), cold, or chain (after a neighbour of the same size)",
    default: "warm", choices: ["warm", "weights", "cold", "chain"])

private let measureOptions = [
    cacheOption,
    Option("min-time", "TIME", "measured time per case, over all rounds", default: "50ms"),
    Option("rounds", "N", "interleaved rounds, each in other physical pages", default: "11"),
]

/// Two builds side by side.
private let comparisonOptions = [
    Option("base", "BUILD", "what to compare with: a build of atrous, a commit (built once, and kept), or a CSV of bench", isPath: true),
    Option("kernel", "REGEX", "only kernels whose name matches", default: "all but naive and im2col", repeatable: true),
    Option("threads", "LIST", "thread counts", default: "1"),
    Option("rounds", "N", "undisturbed rounds of four bursts a launch", default: "20"),
    Option("burst", "TIME", "length of a burst", default: "0.25ms"),
    Option("pairing", "HOW", "one build after the other on one CPU, or both at once on two", default: "what `atrous noise` found better here", choices: ["alternating", "duet"]),
    Option("patience", "TIME", "a burst that takes longer counts as hung", default: "30s"),
    Option("builds", "DIR", "where builds of commits are kept", default: ".build/check", isPath: true),
    Option("results", "DIR", "where `atrous noise` leaves its finding and checks find it", default: "results", isPath: true),
    Option("seed", "N", "seed of the order", default: "1"),
    Option("quiet", nil, "no progress and no notes"),
    Option("dry-run", nil, "print the cases and stop"),
]

let toolTable = CommandTable(
    tool: "atrous", version: "0.1.0",
    summary: "verifies, measures and picks the kernels of the dilated depthwise-separable block",
    commands: [
        Command(
            "machine", "CPU, caches, instruction-set levels, FMA peaks, bandwidths, clock step and pool cost",
            options: [
                Option("json", "FILE", "as JSON, to stdout or a file", isPath: true, bare: "-"),
                Option("threads", "LIST", "thread counts", default: "1 and all CPUs"),
            ],
            examples: ["atrous machine", "atrous machine --json"]),
        Command(
            "list", "kernels, problems, presets, figures or tuned picks, one a line",
            arguments: [.init("WHAT", "what to list", choices: ["kernels", "problems", "presets", "figures", "tuned"])],
            options: problemOptions + [
                Option("kernel", "REGEX", "only kernels whose name matches", repeatable: true),
                Option("spaces", nil, "kernels with their parameters and the size of their configuration space"),
                Option("store", "DIR", "the tuning store whose picks are listed", default: "results/<machine>", isPath: true),
            ],
            examples: ["atrous list kernels --spaces", "atrous list problems --preset yolov5s"]),
        Command(
            "verify", "hold kernels against the double-precision oracle",
            options: problemOptions + kernelOptions + [
                Option("plan", "plan.csv", "the plan of --block F.safetensors, instead of every family in turn", isPath: true),
                Option("configurations", "WHICH", "verify each kernel's standard configuration or all", default: "standard", choices: ["standard", "all"]),
            ],
            examples: [
                "atrous verify --preset smoke", "atrous verify --problem dw:c64h80k5d5 --threads 1,2",
                "atrous verify --preset smoke --faults", "atrous verify --block block.safetensors",
            ]),
        Command(
            "bench", "verify, then measure; rows are appended to a CSV",
            options: problemOptions + kernelOptions + measureOptions + [
                Option("tuned", "DIR|F.csv", "also what a tuning store picked for the very problem and threads; without a value results/<machine>", isPath: true, bare: "-"),
                Option("out", "F.csv", "the CSV", default: "results/<machine>/bench.csv", isPath: true),
                Option("samples", "F.csv", "keep every raw sample beside it", isPath: true),
                Option("json", "FILE", "Google Benchmark's JSON, to stdout (instead of the table) or a file", isPath: true, bare: "-"),
                Option("history", "FILE", "add the medians to a history; without a value results/<machine>/history.csv", isPath: true, bare: "-"),
            ],
            examples: [
                "atrous bench --preset yolov5s --threads 1,2", "atrous bench --problem pw:c256o512h20 --cache cold",
                "atrous bench --preset yolov5s --tuned",
            ]),
        Command(
            "tune", "the best configuration of every kernel for every problem, found by a search and remembered in a store",
            options: problemOptions + kernelOptions + [
                Option("effort", "LEVEL", "how much to measure: estimate (nothing), quick, thorough, exhaustive", default: "quick", choices: Effort.allCases.map(\.rawValue)),
                Option("budget", "TIME", "stop after so long; the same command goes on where this one ended"),
                Option("strategy", "NAME", "how to search", default: "that of the effort", choices: Strategy.all.map(\.name)),
                Option("evaluations", "N", "candidates that are measured, at most; fewer than the effort's leave a case partial", default: "that of the effort"),
                Option("store", "DIR", "folder of tuning.csv", default: "results/<machine>", isPath: true),
                Option("shard", "i/n", "only the i-th of n parts of the matrix (`atrous merge` joins their stores)"),
                cacheOption,
                Option("trust-verify", nil, "measure stored picks again, and search anew only where one is off"),
                Option("retune", nil, "search again what is decided"),
                Option("wanted", nil, "also what `atrous pick` found untuned and noted in the store's wanted.txt"),
                Option("trace", "F.csv", "how each search's best developed", isPath: true),
            ],
            examples: [
                "atrous tune --preset yolov5s --threads 2", "atrous tune --block literal --effort thorough --budget 5m",
                "atrous tune --preset yolov5 --shard 2/8 --store parts/2",
            ]),
        Command(
            "merge", "join tuning stores: the better effort stays, then the later row",
            options: [
                Option("from", "DIR|F.csv", "a store that is read", repeatable: true, isPath: true),
                Option("store", "DIR", "the store that is written", default: "results/<machine>", isPath: true),
                Option("quiet", nil, "no notes"),
            ],
            examples: ["atrous merge --from parts/1 --from parts/2 --store results/mine"]),
        Command(
            "export", "a tuning store in a form that other tools read",
            options: [
                Option("store", "DIR", "the store that is read", default: "results/<machine>", isPath: true),
                Option("format", "NAME", "t4 (KernelTuner's and others' JSON) or csv", default: "t4", choices: ["t4", "csv"]),
                Option("out", "FILE", "the file", default: "stdout", isPath: true),
                Option("picks", nil, "only the picks"),
                Option("quiet", nil, "no notes"),
            ],
            examples: ["atrous export --format t4 --out tuning.t4.json"]),
        Command(
            "pick", "the fastest kernel of every layer; what is not in the store yet is measured first",
            options: problemOptions + kernelOptions + measureOptions + [
                Option("store", "DIR", "folder of stored results", default: "results", isPath: true),
                Option("out", "plan.csv", "write the picks as a plan", isPath: true),
                Option("estimate", nil, "measure nothing: tuned picks, the nearest tuned shapes, the model, with their source"),
                Option("compare", "WITH", "set each branch's separable beside the dense convolution that it replaces", choices: ["dense"]),
                Option("layout", "LAYOUT", "only kernels that write this layout", choices: Layout.allCases.map(\.rawValue)),
            ],
            examples: [
                "atrous pick --preset yolov5s --threads 2", "atrous pick --block literal --size 1x512x20x20 --out plan.csv",
                "atrous pick --block listing --size 1x256x40x40 --compare dense",
            ]),
        Command(
            "run", "a whole block: its output, its time, and where the time goes",
            options: [
                Option("block", "FILE", "trained parameters (.safetensors), or a JSON block file with random ones", repeatable: true, isPath: true),
                Option("variant", "NAME", "listing, literal or rfb: with random parameters, or what F.safetensors holds where its metadata do not say"),
                settingOptions[1],
                Option("size", "NxCxHxW", "the input's size", default: "the input's, or 20x20"),
                Option("activation", "NAME", "of --variant or of a JSON block file, or of F.safetensors where its metadata do not say", choices: ["none", "relu", "silu", "hardswish"]),
                Option("input", "x.npy", "the input, [N, C, H, W]", default: "the file's own, or random", isPath: true),
                Option("output", "y.npy", "write the output", isPath: true),
                Option("plan", "plan.csv", "kernels as `atrous pick --block … --out` chose them", isPath: true),
                Option("threads", "N", "threads", default: "1"),
                Option("repeat", "N", "timed runs", default: "20"),
                Option("profile", nil, "time, share, GFLOP/s, roofline and scratch of every unit"),
                Option("json", "FILE", "as JSON, to stdout (instead of text) or a file", isPath: true, bare: "-"),
                Option("seed", "N", "seed of random parameters and inputs", default: "1"),
                Option("quiet", nil, "no notes"),
            ],
            examples: [
                "atrous run --variant literal --size 1x512x20x20 --threads 2 --profile",
                "atrous run --block block.safetensors --input x.npy --output y.npy --plan plan.csv",
            ]),
        Command(
            "check", "whether a build is slower than another: both run in turn, in the same pages, case by case",
            options: problemOptions + comparisonOptions + [
                Option("head", "BUILD", "what to judge: a build, or a commit", default: "the build that runs", isPath: true),
                Option("threshold", "SHARE", "the slow-down that counts; streaming cases and runs below 0.5 µs: five thirds of it, all cases together: half", default: "3%"),
                Option("launches", "N", "fresh launches that confirm a suspect, at least", default: "12"),
                Option("most-steal", "SHARE", "of the CPUs' time, that the hypervisor may take before times count as not to be judged; 100%: it is not looked at", default: "2.5%"),
                Option("counter", "WHAT", "compare instructions under valgrind instead of times; --threshold is 0.5% then", choices: ["instructions"]),
                Option("store", "DIR", "also compare what this tuning store chose, and say where it is stale", isPath: true),
                Option("plans", "LIST", "also plan these blocks at --size (listing, literal, rfb, JSON block files), and hold what the plans predict against what the blocks take"),
                Option("markdown", "FILE", "the outcome for a pull request", isPath: true, bare: "-"),
                Option("junit", "FILE", "the outcome as JUnit XML", isPath: true),
                Option("json", "DIR", "base.json and head.json, of Google Benchmark's shape", isPath: true),
                Option("github", nil, "annotations for GitHub Actions, and the Markdown in the run's summary"),
                Option("history", "FILE", "add head's medians to a history; without a value results/<machine>/history.csv", isPath: true, bare: "-"),
                Option("record", "F.csv", "keep every launch's value and rounds", isPath: true),
            ],
            examples: [
                "atrous check --base main --preset smoke", "atrous check --base old/atrous --head new/atrous --preset yolov5s --threshold 2%",
                "atrous check --base HEAD^ --preset smoke --markdown=check.md --junit check.xml", "atrous check --base main --preset smoke --counter instructions",
                "atrous check --base results/machine/bench.csv --preset yolov5s",
            ]),
        Command(
            "noise", "how far launches of equal builds scatter here, and what a check could find at what cost",
            options: problemOptions + comparisonOptions + [
                Option("launches", "N", "launches of each pairing", default: "8"),
                Option("out", "FILE", "what was found, for checks to choose their pairing by", default: "<machine>/noise.json in --results", isPath: true),
            ],
            examples: ["atrous noise --preset smoke", "atrous noise --preset yolov5s --rounds 40"]),
        Command(
            "history", "where a case's time changed for good, over the commits of a history",
            options: [
                Option("history", "FILE", "the history that bench and check write with --history", default: "results/<machine>/history.csv", isPath: true),
                Option("filter", "REGEX", "only series whose problem, kernel or threads match"),
                Option("out", "DIR", "draw the series that have steps", isPath: true),
                Option("all", nil, "draw the others too"),
                Option("format", "LIST", "file formats: svg, png", default: "svg,png"),
            ],
            examples: ["atrous history", "atrous history --filter dw3 --out plots"]),
        Command("worker", "runs one case at a time for `atrous check`", hidden: true),
        Command(
            "asm", "the machine code of the loop that a kernel spends its time in, with the instructions counted",
            arguments: [.init("KERNEL", "a kernel, with @configuration if wanted", required: false)],
            options: [
                Option("problem", "TEXT", "what it is to run", default: "a layer of its kind that fits the caches"),
                Option("min-time", "TIME", "how long it is sampled", default: "1s"),
                Option("isa", "LIST", "with --check, only these levels", default: "baseline,v3,v4", readsEnvironment: false),
                Option("check", nil, "instead: no micro-kernel spills or multiplies single values; exit code 1"),
            ],
            examples: ["atrous asm pw-tile-v4@m12n2", "atrous asm dw-tile-v3 --problem dw:c64h20k9d9", "atrous asm --check"]),
        Command(
            "plot", "figures from stored results, as SVG and PNG",
            options: [
                Option("results", "DIR", "folder or file of stored results", default: "results", isPath: true),
                Option("out", "DIR", "folder for the figures", default: "plots", isPath: true),
                Option("figure", "LIST", "only these figures (`atrous list figures`)"),
                Option("format", "LIST", "file formats: svg, png", default: "svg,png"),
                Option("threads", "N", "results with so many threads", default: "the most that the results hold"),
                Option("machine", "NAME", "results of this machine", default: "the one with most results"),
                Option("quiet", nil, "do not name the files"),
            ],
            examples: ["atrous plot", "atrous plot --figure roofline --format svg"]),
        Command(
            "completions", "a script that teaches a shell this tool's commands and options",
            arguments: [.init("SHELL", "which shell", choices: ["bash", "zsh", "fish"])],
            examples: ["atrous completions bash > /etc/bash_completion.d/atrous"]),
    ])

/// What each command runs.
let commandBodies: [String: @Sendable (Values) throws -> ExitCode] = [
    "check": runCheck, "noise": runNoise, "history": runHistory, "worker": runWorker,
    "machine": runMachine, "list": runList, "verify": runVerify, "bench": runBench, "pick": runPick, "run": runRun, "plot": runPlot, "asm": runAsm,
    "tune": runTune, "merge": runMerge, "export": runExport,
    "completions": runCompletions,
]
