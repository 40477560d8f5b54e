// Carat's chat template against a published one, byte for byte: generated conversations are rendered by `carat tokenize
// --chat --render` and by a Jinja interpreter. No template is part of this repository; give one:
//
//   node template.mjs CARAT --template chat_template.jinja [--template OTHER.jinja]
//   node template.mjs CARAT --from-gguf MODEL.gguf        (its tokenizer.chat_template)
//   CARAT_TEMPLATE=chat_template.jinja node template.mjs CARAT
//
// Published ones: chat_template.jinja in the model repositories of google/gemma-4-31B-it (the same in 12B and 26B-A4B)
// and google/gemma-4-E2B-it (the same in E4B), and every GGUF file made of them.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import fs from "node:fs";
import os from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Template } from "@huggingface/jinja";
import { forTemplate, makeConversation } from "./template_conversations.mjs";
import { readMetadataText } from "./metadata.mjs";

const { values: options, positionals } = parseArgs({
    allowPositionals: true,
    options: {
        template: { type: "string", multiple: true, default: [] },
        "from-gguf": { type: "string" },
        count: { type: "string", default: "1000" },
        seed: { type: "string", default: "1" },
        python: { type: "boolean", default: false }, // also with Python's jinja2 (Debian: python3-jinja2)
        golden: { type: "string" }, // write the renderings of the first conversations for tests/model/chat_golden_test.cpp
        "golden-count": { type: "string", default: "60" },
    },
});
const [carat] = positionals;
if (process.env.CARAT_TEMPLATE) options.template.push(...process.env.CARAT_TEMPLATE.split(":"));
if (!carat) {
    console.error("usage: node template.mjs CARAT (--template FILE | --from-gguf FILE) [--count N] [--seed N] [--python] [--golden OUT]");
    process.exit(2);
}

const templates = options.template.map((path) => ({ name: path, text: fs.readFileSync(path, "utf8") }));
if (options["from-gguf"]) templates.push({ name: options["from-gguf"], text: readMetadataText(options["from-gguf"], "tokenizer.chat_template") });
if (templates.length === 0) {
    console.log("template: skipped, no template given (--template, --from-gguf or CARAT_TEMPLATE)");
    process.exit(0);
}

const first = Number(options.seed);
const make = (odd) => Array.from({ length: Number(options.count) }, (_, i) => makeConversation(first + i, odd));
const conversations = make(false);

// A model whose size decides about the empty thought; nothing else of it matters.
function renderOurs(list, isLarge, folder) {
    const model = join(folder, isLarge ? "large.gguf" : "small.gguf");
    execFileSync(carat, ["synth", model, "--like", isLarge ? "12b" : "e2b", "--layers", isLarge ? "6" : "5", "--width-divisor", isLarge ? "15" : "6", "--vocab", "2048"], { stdio: "ignore" });
    const input = JSON.stringify(list);
    return JSON.parse(execFileSync(carat, ["tokenize", model, "--chat", "--render", "--batch"], { input, maxBuffer: 1 << 28 }));
}

function renderTheirs(text) {
    const template = new Template(text);
    return conversations.map((conversation) => {
        try {
            return template.render({ bos_token: "<bos>", ...forTemplate(conversation) });
        } catch (error) {
            return { error: error.message };
        }
    });
}

const PYTHON = `
import json, sys
from jinja2.sandbox import ImmutableSandboxedEnvironment
given = json.load(sys.stdin)
def raise_exception(message): raise ValueError(message)
env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
env.globals["raise_exception"] = raise_exception
template = env.from_string(given["template"])
def render(conversation):
    try: return template.render(bos_token="<bos>", **conversation)
    except TypeError as error: return {"error": str(error)}
print(json.dumps([render(c) for c in given["conversations"]]))
`;
const renderPython = (template, list) =>
    JSON.parse(execFileSync("python3", ["-c", PYTHON], { input: JSON.stringify({ template, conversations: list.map(forTemplate) }), maxBuffer: 1 << 28 }));

// What the template itself cannot go through is no difference where `lenient`.
function compare(name, list, ours, theirs, lenient = false) {
    let equal = 0, failed = 0, shown = 0;
    for (const [i, text] of theirs.entries()) {
        if (text === ours[i]) ++equal;
        else if (typeof text !== "string") ++failed;
        if (text === ours[i] || (lenient && text.error) || shown++ >= 3) continue;
        const end = [...ours[i]].findIndex((c, k) => c !== [...(text.error ?? text)][k]);
        console.log(`seed ${first + i}: ${JSON.stringify(list[i])}\n  carat    …${JSON.stringify(ours[i].slice(Math.max(0, end - 60), end + 60))}\n  template …${JSON.stringify(text.error ?? text.slice(Math.max(0, end - 60), end + 60))}`);
    }
    console.log(`template: ${name}: ${equal} of ${theirs.length} renderings equal` + (failed ? `, ${failed} refused by the interpreter` : ""));
    return equal + (lenient ? failed : 0) === theirs.length;
}

const folder = fs.mkdtempSync(join(os.tmpdir(), "carat-template-"));
let allEqual = true;
const golden = [];
try {
    for (const { name, text } of templates) {
        const isLarge = text.includes("<|channel>thought\\n<channel|>");
        const sha256 = createHash("sha256").update(text).digest("hex");
        const ours = renderOurs(conversations, isLarge, folder);
        const theirs = renderTheirs(text);
        allEqual = compare(`${name} (${isLarge ? "large" : "small"}, SHA-256 ${sha256.slice(0, 8)}…)`, conversations, ours, theirs) && allEqual;
        if (options.python) {
            const odd = make(true);
            allEqual = compare(`${name}, Python`, conversations, ours, renderPython(text, conversations)) && allEqual;
            allEqual = compare(`${name}, Python, odd schemas`, odd, renderOurs(odd, isLarge, folder), renderPython(text, odd), true) && allEqual;
        }
        for (let i = 0; i < Number(options["golden-count"]); ++i) golden.push({ large: isLarge, template: sha256, conversation: conversations[i], text: theirs[i] });
    }
    if (options.golden) {
        const note = "Made by tests/conformance/template.mjs --golden: conversations of its generator, rendered with @huggingface/jinja and the templates that Google published on 2026-07-09.";
        fs.writeFileSync(options.golden, [{ note }, ...golden].map((line) => JSON.stringify(line)).join("\n") + "\n");
    }
} finally {
    fs.rmSync(folder, { recursive: true });
}
process.exitCode = allEqual ? 0 : 1;
