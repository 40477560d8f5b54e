// The tokenizer on a vocabulary of Gemma 4's size: ids of `carat tokenize` against those of an independent tokenizer
// (npm's @lenml/tokenizers) and of llama.cpp (node-llama-cpp), on texts of all kinds.
//
// What is not compared: bytes that are no UTF-8 (JavaScript's texts cannot hold them; Carat keeps each as its byte
// token, tests/model/tokenizer_test.cpp), and Gemma 3's own rules for newline runs and HTML, which Gemma 4 has not (the
// vocabulary is Gemma 3's, the rules are Gemma 4's: see vocabulary.mjs).
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { independentEncoder, readTokenizer, writeVocabulary } from "./vocabulary.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const [carat, ...flags] = process.argv.slice(2);
if (!carat || flags.some((flag) => flag !== "--no-llama")) {
    console.error("usage: node tokenizer.mjs CARAT [--no-llama]");
    process.exit(2);
}

const LANGUAGES = {
    Arabic: "يولد جميع الناس أحراراً ومتساوين في الكرامة والحقوق. وهم قد وهبوا العقل والوجدان وعليهم أن يعاملوا بعضهم بعضاً بروح الإخاء.",
    Persian: "تمام افراد بشر آزاد زاده می‌شوند و از لحاظ حیثیت و کرامت و حقوق با هم برابرند. همگی دارای عقل و وجدان هستند.",
    Hindi: "सभी मनुष्यों को गौरव और अधिकारों के विषय में जन्मजात स्वतन्त्रता और समानता प्राप्त है। उन्हें बुद्धि और अन्तरात्मा की देन प्राप्त है।",
    Chinese: "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
    Japanese: "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。人間は、理性と良心とを授けられている。",
    Korean: "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 인간은 천부적으로 이성과 양심을 부여받았다.",
    Russian: "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью.",
    Polish: "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. Są oni obdarzeni rozumem i sumieniem.",
    Thai: "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
    emoji: "🙂🙃 👩‍👩‍👧‍👦 👨🏽‍🚀 🏳️‍🌈 🇫🇮🇳🇴 ✌🏿 ❤️‍🔥 1️⃣ 🤦🏼‍♂️",
    JSON: '{"name": "get_weather", "arguments": {"city": "Oslo", "days": [1, 2, 3], "x": null, "y": -1.5e-7}}\n',
    odd: "a\u0000b\u0007c \u200b\ufeff\u00ad \u2028\u2029 \ud7ff\ue000 \uffff \u{10ffff} ▁▁x ▁ y\r\n\r\n\t\t\tz",
    controls: "<bos><eos><|turn>user\nhi<turn|>\n<|channel>thought\n<channel|><|tool_call>call:f{}<tool_call|><|\"|><0x41><unused1></s><pad> <|turn <turn|",
};

function makeTexts({ texts }) {
    let state = 12345;
    const below = (n) => (state = (state * 1103515245 + 12345) % 2147483648) % n;
    const pick = (list) => list[below(list.length)];
    const list = ["", " ", "  ", "\n", "\n\n", " \n \n", "a", " a", "a ", "\n".repeat(31), "\n".repeat(32), "\n".repeat(100), " ".repeat(31), " ".repeat(333), "\t".repeat(64), "x".repeat(1000), "=".repeat(200), "ab".repeat(500), ...Object.values(LANGUAGES)];
    const root = join(HERE, "../..");
    for (const folder of ["docs", "src/model", "tests/conformance"])
        for (const name of fs.readdirSync(join(root, folder)).sort())
            if (/\.(md|cpp|h|mjs)$/.test(name)) list.push(fs.readFileSync(join(root, folder, name), "utf8"));
    const everything = Object.values(LANGUAGES).join(" ");
    const words = everything.split(/\s+/);
    const paragraph = (length) => {
        let text = "";
        while (text.length < length) text += pick(words) + pick([" ", " ", " ", "  ", ", ", "-", ">", "> </"]);
        return text;
    };
    list.push(paragraph(100000), [...Object.values(LANGUAGES)].join("\n\n\n"));
    // Slices, tokens side by side, code points from everywhere.
    for (let i = 0; i < 800; ++i) list.push([...everything].slice(below(everything.length), below(everything.length)).join(""));
    for (let i = 0; i < 800; ++i) list.push(Array.from({ length: 1 + below(30) }, () => pick(texts).replaceAll("▁", " ")).join(pick(["", "", " ", "\n"])));
    for (let i = 0; i < 400; ++i) list.push(Array.from({ length: 1 + below(40) }, () => String.fromCodePoint(below(pick([0x80, 0x800, 0xd800, 0x3000])))).join(""));
    return list.map((text) => text.toWellFormed());
}

function compare(name, texts, ours, theirs) {
    let differences = 0;
    for (const [i, text] of texts.entries()) {
        if (JSON.stringify(ours[i]) === JSON.stringify(theirs[i])) continue;
        if (++differences > 5) continue;
        const at = ours[i].findIndex((id, k) => id !== theirs[i][k]);
        console.log(`${JSON.stringify(text.slice(0, 200))} at token ${at}\n  carat  ${ours[i].slice(Math.max(0, at - 3), at + 8)}\n  theirs ${theirs[i].slice(Math.max(0, at - 3), at + 8)}`);
    }
    console.log(`tokenizer: ${name}: ${texts.length - differences} of ${texts.length} texts equal, ${theirs.reduce((n, ids) => n + ids.length, 0)} tokens`);
    return differences === 0;
}

const vocabulary = readTokenizer();
const texts = makeTexts(vocabulary);
const folder = fs.mkdtempSync(join(os.tmpdir(), "carat-tokenizer-"));
let allEqual = true;
try {
    const file = join(folder, "vocabulary.gguf");
    writeVocabulary(file, vocabulary);
    // What Google's own tokenizer makes of it.
    const known = execFileSync(carat, ["tokenize", file, "The capital of Finland is", "--json"], { encoding: "utf8" }).trim();
    if (known !== "[2,818,5279,529,37038,563]") {
        console.log(`tokenizer: "The capital of Finland is" is ${known}, expected [2,818,5279,529,37038,563]`);
        allEqual = false;
    }
    const run = (program, args) => JSON.parse(execFileSync(program, args, { input: JSON.stringify(texts), maxBuffer: 1 << 29, stdio: ["pipe", "pipe", "inherit"] }));
    for (const special of [false, true]) {
        const flag = special ? ["--special"] : [], name = special ? " with control tokens" : "";
        const ours = run(carat, ["tokenize", file, "--batch", "--no-bos", ...flag]);
        const encode = await independentEncoder(vocabulary, special);
        allEqual = compare(`independent${name}`, texts, ours, texts.map(encode)) && allEqual;
        if (!flags.includes("--no-llama")) allEqual = compare(`llama.cpp${name}`, texts, ours, run(process.execPath, [join(HERE, "llama_tokenize.mjs"), file, ...flag])) && allEqual;
    }
} finally {
    fs.rmSync(folder, { recursive: true });
}
process.exitCode = allEqual ? 0 : 1;
