// The lab models in llama.cpp: every file that Carat ships or writes from them loads and computes, and 20 prompts are
// continued greedily with the same tokens as `carat run --exact` on the 16-bit files. llama.cpp rounds activations to
// BF16 where weights are BF16, so where its best two tokens are closer than that rounding the continuations may part:
// there llama.cpp has to write our tokens when it is given the same weights in F32.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const MODELS = join(HERE, "../../models");
const TYPES = ["Q8_0", "Q6_K", "Q5_0", "Q4_K", "Q4_0", "NVFP4", "Q3_K", "Q2_K"];
const N_PROMPTS = 20;
const N_TOKENS = 24;
const TIE = 0.01; // nats between llama.cpp's two best tokens

const carat = process.argv[2];
if (!carat) {
    console.error("usage: node lab.mjs CARAT");
    process.exit(2);
}
const folder = mkdtempSync(join(tmpdir(), "carat-lab-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

const text = (program, args) => execFileSync(program, args, { maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "pipe"] }).toString();
const json = (program, args) => {
    const output = text(program, args);
    return JSON.parse(output.slice(output.search(/[[{]/)));
};

// Prompts: lab documents up to their first answer.
function prompts() {
    const lines = text(carat, ["lab", "text", "-n", String(N_PROMPTS), "--seed", "4242", "--json"]).trim().split("\n");
    return lines.map((line) => {
        const { pieces } = JSON.parse(line);
        const end = pieces.findIndex(({ answer }) => answer);
        return pieces.slice(0, end < 0 ? 1 : end).map((piece) => piece.text).join("");
    });
}

const greedy = (file, tokens) =>
    json(process.execPath, [join(HERE, "llama_greedy.mjs"), file, "--tokens", tokens.join(","), "-n", String(N_TOKENS), "--kv", "f32", "--flash", "off"]);

// files: the model's weights in BF16 and, for near-ties, the same in F32.
function continuation(files, prompt) {
    const tokens = json(carat, ["tokenize", files.bf16, prompt, "--json"]);
    const ours = json(carat, ["run", files.bf16, "-p", prompt, "--raw", "--exact", "--kv", "f32", "--temp", "0", "--ignore-eos", "-n", String(N_TOKENS), "--json"]).tokens;
    const parts = (theirs) => ours.findIndex((token, i) => token !== theirs.tokens[i]);
    const rounded = greedy(files.bf16, tokens);
    if (parts(rounded) < 0) return "equal";
    if (rounded.margins[parts(rounded)] >= TIE) return "different";
    return parts(greedy(files.f32, tokens)) < 0 ? "tie" : "different";
}

let failures = 0;
const files = readdirSync(MODELS).filter((name) => name.endsWith(".gguf")).sort();
for (const name of files) {
    // A twin shipped in blocks is held against llama.cpp in its 16-bit form, where both compute with the same weights.
    const forms = { bf16: join(folder, "bf16.gguf"), f32: join(folder, "f32.gguf") };
    text(carat, ["quantize", join(MODELS, name), forms.bf16, "BF16"]);
    text(carat, ["quantize", forms.bf16, forms.f32, "F32"]);
    const counts = { equal: 0, tie: 0, different: 0 };
    for (const prompt of prompts()) ++counts[continuation(forms, prompt)];
    if (counts.different > 0) ++failures;
    console.log(`${name.padEnd(24)} greedy continuations of ${N_TOKENS}: ${counts.equal} equal, ${counts.tie} equal on F32 weights (a near-tie in BF16), ${counts.different} different`);
}

const jobs = join(folder, "jobs.json");
writeFileSync(jobs, JSON.stringify([{ tokens: [2, 300, 301], all: false, top: 1 }]));
for (const name of files.filter((file) => /^lab-[sm]\.gguf$/.test(file)))
    for (const type of TYPES) {
        const file = join(folder, `${type}.gguf`);
        text(carat, ["quantize", join(MODELS, name), file, type]);
        const [{ rows }] = json(process.execPath, [join(HERE, "llama_logits.mjs"), file, "--batch", jobs]);
        const loads = Number.isFinite(rows[0].top[0][1]);
        if (!loads) ++failures;
        console.log(`${name.padEnd(24)} as ${type.padEnd(6)} ${loads ? "loads in llama.cpp" : "FAILS in llama.cpp"}`);
    }
process.exitCode = failures === 0 ? 0 : 1;
