// The lab models in llama.cpp: every file that Carat ships or writes from them loads and computes, and 20 prompts are
// continued greedily with the same tokens as `carat run --exact` on the 16-bit files. llama.cpp rounds activations to
// BF16 where weights are BF16, so where its best two tokens are closer than that rounding the continuations may part:
// there llama.cpp has to write our tokens when it is given the same weights in F32, up to ties within what its own
// attention paths differ by.
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
// Nats between llama.cpp's two best tokens: what its rounding can turn, with BF16 weights and with F32 ones.
const NEAR_TIE = { bf16: 0.01, f32: 0.0025 };

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

// What llama.cpp continues each of the prompts (lists of ids) with.
function theirs(file, prompts) {
    const batch = join(folder, "prompts.json");
    writeFileSync(batch, JSON.stringify(prompts));
    return json(process.execPath, [join(HERE, "llama_greedy.mjs"), file, "--batch", batch, "-n", String(N_TOKENS), "--kv", "f32", "--flash", "off", "--threads", "1"]);
}

const ours = (file, prompt) =>
    json(carat, ["run", file, "-p", prompt, "--raw", "--exact", "--kv", "f32", "--temp", "0", "--ignore-eos", "--threads", "1", "-n", String(N_TOKENS), "--json"]).tokens;

// Where our tokens part from llama.cpp's: at a place where it was sure, at a near-tie, or nowhere.
function parting(mine, { tokens, margins }, nearTie) {
    const place = mine.findIndex((token, i) => token !== tokens[i]);
    if (place < 0) return "equal";
    return margins[place] < nearTie ? "near-tie" : "different";
}

// files: the model's weights in BF16 and, for near-ties, the same in F32. One outcome per text.
function compareContinuations(files, texts) {
    const prompts = texts.map((prompt) => json(carat, ["tokenize", files.bf16, prompt, "--json"]));
    const mine = texts.map((prompt) => ours(files.bf16, prompt));
    const outcomes = theirs(files.bf16, prompts).map((result, i) => parting(mine[i], result, NEAR_TIE.bf16));
    const tied = outcomes.flatMap((outcome, i) => (outcome === "near-tie" ? [i] : []));
    if (tied.length > 0)
        theirs(files.f32, tied.map((i) => prompts[i])).forEach((result, k) => {
            const outcome = parting(mine[tied[k]], result, NEAR_TIE.f32);
            outcomes[tied[k]] = outcome === "equal" ? "equal in F32" : outcome;
        });
    return outcomes;
}

// Whether llama.cpp opens a file and computes with it.
function loads(file) {
    const jobs = join(folder, "jobs.json");
    writeFileSync(jobs, JSON.stringify([{ tokens: [2, 300, 301], all: false, top: 1 }]));
    const [{ rows }] = json(process.execPath, [join(HERE, "llama_logits.mjs"), file, "--batch", jobs]);
    return Number.isFinite(rows[0].top[0][1]);
}

// Writes a lab model in another type; false where its rows are too short for the type's blocks (exit code 1).
function quantized(input, output, type) {
    try {
        text(carat, ["quantize", input, output, type]);
        return true;
    } catch (error) {
        if (error.status === 1) return false;
        throw error;
    }
}

let failures = 0;
const texts = prompts();
const files = readdirSync(MODELS).filter((name) => name.endsWith(".gguf")).sort();
for (const name of files) {
    // A twin shipped in blocks is held against llama.cpp in its 16-bit form, where both compute with the same weights.
    const forms = { bf16: join(folder, "bf16.gguf"), f32: join(folder, "f32.gguf") };
    text(carat, ["quantize", join(MODELS, name), forms.bf16, "BF16"]);
    text(carat, ["quantize", forms.bf16, forms.f32, "F32"]);
    const outcomes = compareContinuations(forms, texts);
    const count = (outcome) => outcomes.filter((other) => other === outcome).length;
    const isLoaded = loads(join(MODELS, name));
    if (count("different") > 0 || !isLoaded) ++failures;
    console.log(
        `${name.padEnd(20)} ${isLoaded ? "loads" : "FAILS TO LOAD"}; greedy continuations of ${N_TOKENS}: ${count("equal")} equal, ` +
            `${count("equal in F32")} equal on F32 weights, ${count("near-tie")} up to a near-tie there too, ${count("different")} different`,
    );
}

for (const name of files.filter((file) => /^lab-[sm]\.gguf$/.test(file)))
    for (const type of TYPES) {
        const file = join(folder, `${type}.gguf`);
        if (!quantized(join(MODELS, name), file, type)) {
            console.log(`${name.padEnd(20)} as ${type.padEnd(6)} rows too short`);
            continue;
        }
        const isLoaded = loads(file);
        if (!isLoaded) ++failures;
        console.log(`${name.padEnd(20)} as ${type.padEnd(6)} ${isLoaded ? "loads in llama.cpp" : "FAILS in llama.cpp"}`);
    }
process.exitCode = failures === 0 ? 0 : 1;
