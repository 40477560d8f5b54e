// Files that Carat reads but does not write, against llama.cpp: split models, and NVFP4 matrices with scales of whole
// tensors beside them. Both engines get the same files, made here; the distance is that of conformance.mjs, mean
// |difference of log-probabilities| over llama.cpp's top 64.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { f32Tensor, readGguf, splitGguf, writeGguf } from "./gguf.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const [carat] = process.argv.slice(2);
if (!carat) {
    console.error("usage: node files.mjs CARAT");
    process.exit(2);
}
const LIMIT = 0.01;
const MODELS = {
    "e2b": ["--like", "e2b", "--layers", "10", "--width-divisor", "6"],
    "12b": ["--like", "12b", "--layers", "6", "--width-divisor", "15"],
    "26b-a4b": ["--like", "26b-a4b", "--layers", "6", "--width-divisor", "11", "--experts", "32"],
};
const TOKENS = [2, ...Array.from({ length: 95 }, (_, i) => 401 + ((i * 7919) % 600))].join(",");

const folder = mkdtempSync(join(tmpdir(), "carat-files-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

function run(program, args) {
    const output = execFileSync(program, args, { maxBuffer: 1 << 30, stdio: ["ignore", "pipe", "pipe"] }).toString();
    return JSON.parse(output.slice(output.search(/[[{]/))).rows;
}
const synth = (file, flags, type) =>
    execFileSync(carat, ["synth", file, ...flags, "--type", type, "--vocab", "1024", "--window", "48"], { stdio: "ignore" });
const caratRows = (file, ...flags) => run(carat, ["logits", file, "--tokens", TOKENS, "--all", "--top", "1024", "--json", ...flags]);
const llamaRows = (file) =>
    run(process.execPath, [join(HERE, "llama_logits.mjs"), file, "--tokens", TOKENS, "--all", "--top", "64", "--kv", "f32", "--flash", "off"]);

let failed = false;
function report(what, ok, detail) {
    failed ||= !ok;
    console.log(`${what.padEnd(44)} ${ok ? "ok" : "FAILED"}  ${detail}`);
}

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
    return sum / n;
}

function checkSplit(name, flags) {
    const whole = join(folder, "whole.gguf");
    synth(whole, flags, "F32");
    const parts = splitGguf(whole, join(folder, "split"), 3);
    const expected = caratRows(whole, "--exact", "--kv", "f32");
    for (const [i, part] of parts.entries())
        report(`${name}: split, part ${i + 1} named`, JSON.stringify(caratRows(part, "--exact", "--kv", "f32")) === JSON.stringify(expected), "the whole file's bits");
    const apart = distance(expected, llamaRows(parts[0]));
    report(`${name}: split, against llama.cpp`, apart <= LIMIT, `distance ${apart.toFixed(5)}`);
}

// Fused experts as two stacks, gate and up: the first and the second half of every expert's rows. NVFP4 only.
function separateExperts(tensor) {
    const [columns, rows, n] = tensor.dims;
    const half = ((columns / 64) * 36 * rows) / 2;
    const part = (which) => Buffer.concat(Array.from({ length: n }, (_, e) => tensor.data.subarray((2 * e + which) * half, (2 * e + which + 1) * half)));
    return ["gate", "up"].map((name, which) => ({
        name: tensor.name.replace("gate_up", name), dims: [columns, rows / 2, n], type: tensor.type, data: part(which),
    }));
}

// Scales from 1/2 to 2 beside every matrix that may have one, one for each expert of a stack. llama.cpp knows none
// beside tables, matrices of per-layer inputs and fused experts, so experts are taken apart.
const SCALED = /^blk\.\d+\.(attn_(q|k|v|output)|ffn_(gate|up|down)|ffn_(gate|up)_exps)\.weight$/;
function addScales(from, to) {
    const { keys, tensors } = readGguf(from);
    let seed = 1;
    const scale = () => 2 ** (((seed = (seed * 1103515245 + 12345) % 2147483648) / 2147483648) * 2 - 1);
    const apart = tensors.flatMap((tensor) => (tensor.name.includes("gate_up_exps") ? separateExperts(tensor) : [tensor]));
    const scaled = apart.flatMap((tensor) => {
        if (!SCALED.test(tensor.name)) return [tensor];
        const n = tensor.dims[2] ?? 1;
        return [tensor, f32Tensor(tensor.name.replace(/weight$/, "scale"), [n], Array.from({ length: n }, scale))];
    });
    writeGguf(to, { keys, tensors: scaled });
}

function checkScales(name, flags) {
    const plain = join(folder, "plain.gguf");
    const scaled = join(folder, "scaled.gguf");
    const decoded = join(folder, "decoded.gguf");
    synth(plain, flags, "NVFP4");
    addScales(plain, scaled);
    // The same weights in F32, scales still beside them: llama.cpp rounds activations for NVFP4, but not here.
    execFileSync(carat, ["quantize", scaled, decoded, "F32"], { stdio: "ignore" });
    const truth = llamaRows(decoded);
    const rows = caratRows(scaled, "--exact", "--kv", "f32");
    const apart = distance(rows, truth);
    const without = distance(caratRows(plain, "--exact", "--kv", "f32"), truth);
    report(`${name}: scales, against llama.cpp`, apart <= LIMIT && without > 10 * LIMIT, `distance ${apart.toFixed(5)}, without scales ${without.toFixed(3)}`);
    const direct = distance(caratRows(scaled), llamaRows(scaled));
    report(`${name}: scales, both engines on NVFP4`, direct < without / 2, `distance ${direct.toFixed(4)}`);
}

for (const [name, flags] of Object.entries(MODELS)) {
    checkSplit(name, flags);
    checkScales(name, flags);
}
console.log(failed ? "files: FAILED" : "files: passed");
process.exitCode = failed ? 1 : 0;
