// Token ids of a few hundred strings, Carat's against llama.cpp's, on one file.
import { execFileSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const [carat, file] = process.argv.slice(2);
if (!file) {
    console.error("usage: node tokens.mjs CARAT MODEL.gguf");
    process.exit(2);
}

// Prose, code, numbers, runs of spaces and newlines, scripts of all kinds, look-alikes of control tokens, raw bytes'
// edge cases that a JSON string can carry.
const SEEDS = [
    "", " ", "  ", "\n", "\n\n\n", "\t", "a", " a", "a ", "Hello, world!", "The capital of Finland is", "3.14159 + 2 = 5",
    "for (int i = 0; i < n; ++i) { sum += x[i]; }\n", '{"name": "get_weather", "arguments": {"city": "Oslo"}}',
    "def f(x):\n    return x * 2\n\n\nprint(f(21))\n", "naïve café — “quoted”", "Ω≈ç√∫˜µ≤≥÷", "日本語のテキスト。", "中文分词测试",
    "한국어 문장입니다.", "Русский текст, проверка.", "العربية نص", "فارسی متن", "हिन्दी पाठ", "🙂🙃👩‍👩‍👧‍👦🏳️‍🌈", "a\u0000b", "\u2581\u2581x", "<bos>", "<eos>",
    "<|turn>user\nhi<turn|>", "<turn|", "<|tool_call>call:f{}<tool_call|>", "<0x41>", "<unused1>", "</s>", "\r\n\r\n", "\u200b\ufeff",
    "x".repeat(300), " ".repeat(100), "\n".repeat(33), "ab ".repeat(200), "the box of ann is red .\n", "12345678901234567890",
];
function makeStrings() {
    const strings = [...SEEDS];
    let state = 12345;
    const next = (n) => (state = (state * 1103515245 + 12345) % 2147483648) % n;
    while (strings.length < 600) {
        let text = "";
        for (let parts = 1 + next(6); parts > 0; --parts) {
            const seed = SEEDS[next(SEEDS.length)];
            const from = next(seed.length + 1);
            text += seed.slice(from, from + 1 + next(24)) + ["", " ", "\n", "  "][next(4)];
        }
        strings.push(text.toWellFormed());
    }
    return strings;
}

const strings = makeStrings();
const input = JSON.stringify(strings);
const options = { input, maxBuffer: 1 << 28, stdio: ["pipe", "pipe", "ignore"] };
let differences = 0;
for (const special of [[], ["--special"]]) {
    const ours = JSON.parse(execFileSync(carat, ["tokenize", file, "--batch", "--no-bos", ...special], options));
    const theirs = JSON.parse(execFileSync(process.execPath, [join(HERE, "llama_tokenize.mjs"), file, ...special], options));
    for (const [i, text] of strings.entries()) {
        if (JSON.stringify(ours[i]) === JSON.stringify(theirs[i])) continue;
        if (++differences <= 10) console.log(`${JSON.stringify(text)} ${special}\n  carat     ${ours[i]}\n  llama.cpp ${theirs[i]}`);
    }
}
console.log(`tokens: ${2 * strings.length - differences} of ${2 * strings.length} encodings equal`);
process.exitCode = differences === 0 ? 0 : 1;
