// Holds Carat against llama.cpp on synthetic models of every architecture feature and every tensor type.
//
// The truth is llama.cpp on the same weights decoded to F32 (f32 cache, no flash attention: its most precise path).
//   exact: `carat logits --exact` on the quantized file must agree with the truth;
//   fast:  `carat logits` may stray from the truth at most 1.1 times as far as llama.cpp on the quantized file does.
// Distances are mean |difference of log-probabilities| over the truth's top 64, averaged over all positions of a
// prompt longer than two sliding windows.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const HERE = dirname(fileURLToPath(import.meta.url));
const { values: OPTIONS } = parseArgs({
    options: {
        carat: { type: "string", default: join(HERE, "../../build/release/carat") },
        full: { type: "boolean", default: false }, // every type on every size, seeds 1 and 2
        seeds: { type: "string" }, // default 1
        only: { type: "string" }, // substring of "architecture type"; also finds what only --full judges
        threads: { type: "string", default: "2" },
        json: { type: "string" },
    },
});

const WINDOW = 48;
const N_TOKENS = 144;
const TOP = 64;
const N_VOCAB = 1024;

// Widths divided so that most rows are multiples of 256 and everything runs in seconds; features stay.
const ARCHITECTURES = {
    "e2b: per-layer inputs, shared KV": ["--like", "e2b", "--layers", "20", "--width-divisor", "6"],
    "e4b: per-layer inputs, shared KV": ["--like", "e4b", "--layers", "16", "--width-divisor", "10"],
    "12b: dense, K = V": ["--like", "12b", "--layers", "12", "--width-divisor", "15"],
    "26b-a4b: mixture of experts": ["--like", "26b-a4b", "--layers", "6", "--width-divisor", "11", "--experts", "32"],
    "31b: dense, K = V": ["--like", "31b", "--layers", "12", "--width-divisor", "21"],
};
// Without --full: every type once, on the architecture in which most rows fit every type's blocks, and some types on all.
const EVERY_TYPE = "12b: dense, K = V";
const SOME_TYPES = ["F32", "BF16", "Q4_0", "Q6_K", "IQ2_XXS"];
const TYPES = [
    ...["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS", "MXFP4", "NVFP4"],
    ...["TQ1_0", "TQ2_0", "Q1_0", "Q2_0", "IQ3_S", "IQ3_XXS", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S"],
];
const EXACT_LIMIT = 0.01;
const FAST_LIMIT = 1.1;
const CLEAR_MARGIN = 0.05; // nats between the truth's two best tokens

const folder = mkdtempSync(join(tmpdir(), "carat-conformance-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
process.on("SIGINT", () => process.exit(130));

function run(program, args) {
    const output = execFileSync(program, args, { maxBuffer: 1 << 30, stdio: ["ignore", "pipe", "pipe"] }).toString();
    const start = output.search(/[[{]/); // llama.cpp may print a line of its own first
    return start < 0 ? null : JSON.parse(output.slice(start));
}
const carat = (...args) => execFileSync(OPTIONS.carat, args, { stdio: ["ignore", "pipe", "inherit"] });
const caratLogits = (file, jobs, ...flags) =>
    run(OPTIONS.carat, ["logits", file, "--batch", jobs, "--json", "--threads", OPTIONS.threads, ...flags])[0].rows;
const llamaLogits = (file, jobs, ...flags) =>
    run(process.execPath, [join(HERE, "llama_logits.mjs"), file, "--batch", jobs, "--threads", OPTIONS.threads, ...flags])[0].rows;

// A fixed sequence of ordinary tokens after <bos>.
function promptTokens(seed) {
    let state = BigInt(seed);
    const tokens = [2];
    while (tokens.length < N_TOKENS) {
        state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
        const id = Number(state >> 33n) % N_VOCAB;
        if (id > 400) tokens.push(id);
    }
    return tokens;
}

// Distance from the truth, and how often the best token differs although the truth is clear about it.
function compare(rows, truth) {
    let sum = 0;
    let n = 0;
    let misses = 0;
    let clear = 0;
    for (const [i, { top }] of truth.entries()) {
        const other = new Map(rows[i].top);
        for (const [id, logprob] of top) {
            sum += Math.abs(other.get(id) - logprob);
            ++n;
        }
        if (top[0][1] - top[1][1] > CLEAR_MARGIN) {
            ++clear;
            if (rows[i].top[0][0] !== top[0][0]) ++misses;
        }
    }
    if (!Number.isFinite(sum)) throw new Error("a log-probability of the truth's top tokens is missing");
    return { distance: sum / n, misses, clear };
}

function judgeFile(file, seed) {
    const jobs = join(folder, "jobs.json");
    writeFileSync(jobs, JSON.stringify([{ tokens: promptTokens(seed), all: true, top: TOP }]));
    const wide = join(folder, "wide.json"); // everything else is asked for all tokens, to find the truth's 64
    writeFileSync(wide, JSON.stringify([{ tokens: promptTokens(seed), all: true, top: N_VOCAB }]));
    const decoded = join(folder, "decoded.gguf");
    carat("quantize", file, decoded, "F32");
    const truth = llamaLogits(decoded, jobs, "--kv", "f32", "--flash", "off");
    return {
        llama: compare(llamaLogits(file, wide), truth),
        exact: compare(caratLogits(file, wide, "--exact", "--kv", "f32"), truth),
        fast: compare(caratLogits(file, wide), truth),
    };
}

function printHeader() {
    console.log(
        "architecture".padEnd(34) + "type".padEnd(8) + "seed" + "llama.cpp".padStart(11) + "exact".padStart(9) + "fast".padStart(9) +
            "fast/llama".padStart(12) + "  top-1 misses of clear rows (exact, fast, llama.cpp)",
    );
}

const results = [];
printHeader();
const isWanted = (architecture, type) => {
    if (OPTIONS.only) return `${architecture} ${type}`.includes(OPTIONS.only);
    return OPTIONS.full || architecture === EVERY_TYPE || SOME_TYPES.includes(type);
};
for (const seed of (OPTIONS.seeds ?? (OPTIONS.full ? "1,2" : "1")).split(","))
    for (const [architecture, flags] of Object.entries(ARCHITECTURES))
        for (const type of TYPES) {
            if (!isWanted(architecture, type)) continue;
            const file = join(folder, "model.gguf");
            carat("synth", file, ...flags, "--type", type, "--vocab", String(N_VOCAB), "--window", String(WINDOW), "--seed", seed);
            const { llama, exact, fast } = judgeFile(file, Number(seed));
            results.push({ architecture, type, seed: Number(seed), llama, exact, fast });
            console.log(
                architecture.padEnd(34) + type.padEnd(8) + seed.padStart(4) + llama.distance.toFixed(4).padStart(11) +
                    exact.distance.toFixed(5).padStart(9) + fast.distance.toFixed(4).padStart(9) +
                    (fast.distance / llama.distance).toFixed(3).padStart(12) +
                    `  ${exact.misses}, ${fast.misses}, ${llama.misses} of ${exact.clear}`,
            );
        }

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
const ratioOf = (files) => mean(files.map(({ fast }) => fast.distance)) / mean(files.map(({ llama }) => llama.distance));

// Types without a kernel of their own are decoded to floats, far nearer than llama.cpp: they must not hide the others.
const inEightBits = results.filter(({ type, llama, fast }) => type !== "F32" && fast.distance > llama.distance / 2);
const ratio = inEightBits.length > 0 ? ratioOf(inEightBits) : 0;
const worstExact = Math.max(...results.map(({ exact }) => exact.distance));
const exactMisses = results.reduce((sum, { exact }) => sum + exact.misses, 0);
const passed = results.length > 0 && worstExact <= EXACT_LIMIT && exactMisses === 0 && ratio <= FAST_LIMIT;

console.log("\n" + "type".padEnd(8) + "files".padStart(6) + "llama.cpp".padStart(11) + "exact".padStart(9) + "fast".padStart(9) + "fast/llama".padStart(12));
for (const type of new Set(results.map((result) => result.type))) {
    const files = results.filter((result) => result.type === type);
    console.log(
        type.padEnd(8) + String(files.length).padStart(6) + mean(files.map(({ llama }) => llama.distance)).toFixed(4).padStart(11) +
            mean(files.map(({ exact }) => exact.distance)).toFixed(5).padStart(9) +
            mean(files.map(({ fast }) => fast.distance)).toFixed(4).padStart(9) + ratioOf(files).toFixed(3).padStart(12),
    );
}
console.log(`\nexact: worst distance ${worstExact.toFixed(5)} (limit ${EXACT_LIMIT}), ${exactMisses} top-1 misses`);
console.log(
    `fast: mean distance is ${ratio.toFixed(3)} times llama.cpp's over the ${inEightBits.length} of ${results.length} files ` +
        `where it is more than half of it (limit ${FAST_LIMIT})`,
);
console.log(passed ? "conformance: passed" : "conformance: FAILED");
if (OPTIONS.json) writeFileSync(OPTIONS.json, JSON.stringify({ results, worstExact, exactMisses, ratio, passed }, null, 1));
process.exitCode = passed ? 0 : 1;
