// Importance matrices against ggml and llama.cpp: `node imatrix.mjs CARAT IMPORTANCE_CONFORMANCE LLAMA_QUANTIZE_CONFORMANCE`. A matrix of each format is collected
// on the lab's models and on one with experts, files are quantized with it, and every tensor must be what ggml's
// quantizer makes of the same importance. llama.cpp must load the results; and where a file has one type, its own quantizer,
// which reads the matrix with its own loader, must write the same tensors.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const MODELS = join(HERE, "../../models");
const LIBRARIES = join(HERE, "node_modules/@node-llama-cpp/linux-x64/bins/linux-x64");
const GGML = join(LIBRARIES, "libggml-base.so");
const [carat, compare, quantizer] = process.argv.slice(2);
if (!quantizer) {
    console.error("usage: node imatrix.mjs CARAT IMPORTANCE_CONFORMANCE LLAMA_QUANTIZE_CONFORMANCE");
    process.exit(2);
}
const folder = mkdtempSync(join(tmpdir(), "carat-imatrix-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const text = (program, args) => execFileSync(program, args, { maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "pipe"] }).toString();

function loads(file) {
    const jobs = join(folder, "jobs.json");
    writeFileSync(jobs, JSON.stringify([{ tokens: [2, 300, 301], all: false, top: 1 }]));
    const output = text(process.execPath, [join(HERE, "llama_logits.mjs"), file, "--batch", jobs]);
    const [{ rows }] = JSON.parse(output.slice(output.search(/[[{]/)));
    return Number.isFinite(rows[0].top[0][1]);
}

const words = join(folder, "text.txt");
writeFileSync(words, text(carat, ["lab", "text", "-n", "60", "--seed", "5"]));
const experts = join(folder, "experts.gguf");
text(carat, ["synth", experts, "--like", "26b-a4b", "--layers", "6", "--width-divisor", "11", "--experts", "16", "--vocab", "2048", "--type", "F16"]);

let failures = 0;
const CASES = [
    { name: "lab-s", file: join(MODELS, "lab-s.gguf"), types: ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "IQ4_NL"] },
    { name: "lab-m", file: join(MODELS, "lab-m.gguf"), types: ["Q4_K_M", "Q2_K", "Q3_K", "Q5_K_S", "Q6_K", "IQ4_XS"] },
    { name: "experts", file: experts, types: ["Q4_0", "Q4_K"] },
];
for (const { name, file, types } of CASES) {
    const files = ["gguf", "dat"].map((format) => {
        const out = join(folder, `${name}.imatrix.${format}`);
        text(carat, ["imatrix", file, words, "-o", out, "--output-format", format, "--chunks", "4", "-t", "1"]);
        return out;
    });
    types.forEach((type, i) => {
        const out = join(folder, "out.gguf");
        const importance = files[i % 2];
        text(carat, ["quantize", file, out, type, "--imatrix", importance, "--lattice", "off", "-t", "1"]);
        const check = (program, args) => {
            try {
                return text(program, args).trim();
            } catch (error) {
                ++failures;
                return `FAILED: ${error.stdout}${error.stderr}`;
            }
        };
        const pure = !/_[SM]$/.test(type);
        const verdict = check(compare, [GGML, file, importance, out]) +
            (pure ? `; ${check(quantizer, [LIBRARIES, file, importance, out, join(folder, "theirs.gguf")])}` : "");
        const isLoaded = loads(out);
        if (!isLoaded) ++failures;
        console.log(`${name.padEnd(8)} ${type.padEnd(7)} ${verdict}; ${isLoaded ? "loads in llama.cpp" : "FAILS in llama.cpp"}`);
    });
}
process.exitCode = failures === 0 ? 0 : 1;
