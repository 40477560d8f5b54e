// Assistants against llama.cpp: the first draft step after prompts within a window and beyond two, for pairs of every
// architecture, on the same seeded files. The distance is mean |difference of log-probabilities| over llama.cpp's top 64.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const BINARIES = join(HERE, "node_modules/@node-llama-cpp/linux-x64/bins/linux-x64");
const [carat] = process.argv.slice(2);
if (!carat) {
    console.error("usage: node draft.mjs CARAT");
    process.exit(2);
}
const LIMIT = 0.01;
const PAIRS = {
    "e2b": ["--layers", "10", "--width-divisor", "6"],
    "12b": ["--layers", "6", "--width-divisor", "15"],
    "26b-a4b": ["--layers", "6", "--width-divisor", "11", "--experts", "32"],
};
const WINDOW = 48;
const LENGTHS = [1, 3, 31, WINDOW, WINDOW + 1, 120];

const folder = mkdtempSync(join(tmpdir(), "carat-draft-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const run = (program, args) => execFileSync(program, args, { maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "pipe"] }).toString();

// The library, and a backend that any x86-64 machine of the last ten years runs.
const library = (start) => readdirSync(BINARIES).find((name) => name.startsWith(start) && name.endsWith(".so"));
const backend = join(BINARIES, ["libggml-cpu-haswell.so", "libggml-cpu-x64.so"].find((name) => existsSync(join(BINARIES, name))));
const program = join(folder, "llama_draft");
run("c++", ["-std=c++20", "-O1", "-w", join(HERE, "llama_draft.cpp"), "-o", program, `-L${BINARIES}`, `-l:${library("libllama.v")}`, `-l:${library("libggml.v")}`,
    "-l:libggml-base.so", `-Wl,-rpath,${BINARIES}`]);

let failed = false;
for (const [name, flags] of Object.entries(PAIRS)) {
    const [target, assistant] = [join(folder, "target.gguf"), join(folder, "assistant.gguf")];
    const common = ["--vocab", "1024", "--window", String(WINDOW), "--type", "F32"];
    run(carat, ["synth", target, "--like", name, ...flags, ...common]);
    run(carat, ["synth", assistant, "--like", `${name}-assistant`, ...flags, ...common]);
    for (const n of LENGTHS) {
        const tokens = [2, ...Array.from({ length: n - 1 }, (_, i) => 401 + ((i * 7919) % 600))].join(",");
        const [theirs] = JSON.parse(run(program, [backend, target, assistant, tokens])).rows;
        const [ours] = JSON.parse(run(carat, ["logits", target, "--tokens", tokens, "--draft", assistant, "--top", "1024", "--json", "--exact", "--kv", "f32"])).rows;
        const logprobs = new Map(ours.top);
        const top = theirs.top.sort((a, b) => b[1] - a[1]).slice(0, 64);
        const distance = top.reduce((sum, [id, logprob]) => sum + Math.abs(logprobs.get(id) - logprob), 0) / top.length;
        const ok = ours.after === theirs.after && ours.pos === theirs.pos && distance <= LIMIT;
        failed ||= !ok;
        console.log(`${name.padEnd(9)} after ${String(n).padStart(3)} tokens  ${ok ? "ok" : "FAILED"}  distance ${distance.toFixed(5)}`);
    }
}
console.log(failed ? "draft: FAILED" : "draft: passed");
process.exitCode = failed ? 1 : 0;
