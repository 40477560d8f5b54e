// Holds Carat's KV caches of every type against llama.cpp's with the same type, keys and values separately.
//
// The weights are F32, so that nothing but the cache is rounded; the truth is llama.cpp with an F32 cache and without
// flash attention. Our distance from it, averaged over seeds and architectures, may be at most 1.1 times llama.cpp's
// own with that cache (flash attention on: values in blocks need it), in both precisions. For full layers whose values
// are raw keys, one vector stands for both: there a cache holds half as much as llama.cpp's.
//
// Distances as in conformance.mjs. Usage: node kv.mjs CARAT [--seeds 1,2,3] [--types q8_0,q8_0/q4_0] [--json FILE]
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const HERE = dirname(fileURLToPath(import.meta.url));
const { values: OPTIONS, positionals } = parseArgs({
    allowPositionals: true,
    options: {
        seeds: { type: "string", default: "1,2,3" },
        types: { type: "string", default: "f32,f16,bf16,q8_0,q5_0,q4_0,q8_0/q4_0,q4_0/q8_0,f16/q5_0,q5_0/f16" },
        threads: { type: "string", default: "2" },
        json: { type: "string" },
    },
});
const [CARAT] = positionals;
if (!CARAT) {
    console.error("usage: node kv.mjs CARAT [--seeds 1,2,3] [--types q8_0,q8_0/q4_0] [--json FILE]");
    process.exit(2);
}

const WINDOW = 48;
const N_TOKENS = 160; // more than three windows: rings wrap
const TOP = 64;
const N_VOCAB = 1024;
const LIMIT = 1.1;
// Heads of 128 and 64: llama.cpp mixes keys over whole such heads and values over 64, we both over 64; both do so only for heads
// that are multiples of 64, as all published ones are.
const ARCHITECTURES = {
    "per-layer embeddings, shared KV": ["--like", "e2b", "--layers", "20", "--width-divisor", "4"],
    "dense, K = V": ["--like", "12b", "--layers", "6", "--width-divisor", "4"],
    "mixture of experts, K = V": ["--like", "26b-a4b", "--layers", "6", "--width-divisor", "4", "--experts", "16"],
};

const folder = mkdtempSync(join(tmpdir(), "carat-kv-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
process.on("SIGINT", () => process.exit(130));

function run(program, args) {
    const output = execFileSync(program, args, { maxBuffer: 1 << 30, stdio: ["ignore", "pipe", "pipe"] }).toString();
    return JSON.parse(output.slice(output.search(/[[{]/)))[0].rows; // llama.cpp may print a line of its own first
}
const caratLogits = (file, jobs, ...flags) => run(CARAT, ["logits", file, "--batch", jobs, "--json", "--threads", OPTIONS.threads, ...flags]);
const llamaLogits = (file, jobs, ...flags) =>
    run(process.execPath, [join(HERE, "llama_logits.mjs"), file, "--batch", jobs, "--threads", OPTIONS.threads, ...flags]);

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

// Mean |difference of log-probabilities| over the truth's top tokens.
function distance(rows, truth) {
    let sum = 0;
    let n = 0;
    for (const [i, { top }] of truth.entries()) {
        const other = new Map(rows[i].top);
        for (const [id, logprob] of top) {
            sum += Math.abs(other.get(id) - logprob);
            ++n;
        }
    }
    if (!Number.isFinite(sum)) throw new Error("a log-probability of the truth's top tokens is missing");
    return sum / n;
}

function judge(architecture, seed) {
    const file = join(folder, "model.gguf");
    execFileSync(CARAT, ["synth", file, ...ARCHITECTURES[architecture], "--type", "F32", "--vocab", String(N_VOCAB), "--window", String(WINDOW), "--seed", seed], { stdio: "ignore" });
    const jobs = join(folder, "jobs.json");
    const wide = join(folder, "wide.json"); // everything else is asked for all tokens, to find the truth's 64
    writeFileSync(jobs, JSON.stringify([{ tokens: promptTokens(seed), all: true, top: TOP }]));
    writeFileSync(wide, JSON.stringify([{ tokens: promptTokens(seed), all: true, top: N_VOCAB }]));
    const truth = llamaLogits(file, jobs, "--kv", "f32", "--flash", "off");
    return OPTIONS.types.split(",").map((type) => ({
        architecture,
        seed,
        type,
        llama: distance(llamaLogits(file, wide, "--kv", type, "--flash", "on"), truth),
        exact: distance(caratLogits(file, wide, "--kv", type, "--exact"), truth),
        fast: distance(caratLogits(file, wide, "--kv", type), truth),
    }));
}

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
const results = [];
for (const architecture of Object.keys(ARCHITECTURES))
    for (const seed of OPTIONS.seeds.split(",")) results.push(...judge(architecture, seed));

console.log("architecture".padEnd(34) + "KV".padEnd(11) + "llama.cpp".padStart(10) + "exact".padStart(10) + "fast".padStart(10) + "exact/llama".padStart(13) + "fast/llama".padStart(12));
function line(name, type, rows) {
    const [llama, exact, fast] = ["llama", "exact", "fast"].map((key) => mean(rows.map((row) => row[key])));
    console.log(
        name.padEnd(34) + type.padEnd(11) + llama.toFixed(5).padStart(10) + exact.toFixed(5).padStart(10) + fast.toFixed(5).padStart(10) +
            (exact / llama).toFixed(3).padStart(13) + (fast / llama).toFixed(3).padStart(12),
    );
    return { name, type, llama, exact, fast, passed: Math.max(exact, fast) <= LIMIT * llama };
}
const summary = [];
for (const type of OPTIONS.types.split(",")) {
    for (const architecture of Object.keys(ARCHITECTURES))
        line(architecture, type, results.filter((row) => row.type === type && row.architecture === architecture));
    summary.push(line("all", type, results.filter((row) => row.type === type)));
}
// llama.cpp's flash attention rounds an F32 cache's values, so that row holds our F32 cache to an easy limit.
const failed = summary.filter(({ passed }) => !passed).map(({ type }) => type);
console.log(failed.length === 0 ? "kv: passed" : `kv: FAILED for ${failed.join(", ")}`);
if (OPTIONS.json) writeFileSync(OPTIONS.json, JSON.stringify({ results, summary }, null, 1));
process.exitCode = failed.length === 0 ? 0 : 1;
