// The live llama.cpp behind the conformance scripts: opens a GGUF through node-llama-cpp (CPU only, prebuilt binary)
// and hides the few things one has to know about it. Development only; see package.json for the pinned version.
import fs from "node:fs/promises";
import os from "node:os";
import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { getLlama, LlamaLogLevel } from "node-llama-cpp";

/** Options that every script takes, in the form that node:util's parseArgs wants. */
export const COMMON_OPTIONS = {
    threads: { type: "string", default: String(Math.min(2, os.cpus().length)) },
    verbose: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
};

export class UsageError extends Error {}

/** Parses the command line, runs `main(options, positionals)`, prints its result as JSON. Exit code 2: wrong usage, 1: anything else. */
export async function runCli(usage, options, main) {
    try {
        let parsed;
        try {
            parsed = parseArgs({ options: { ...COMMON_OPTIONS, ...options }, allowPositionals: true });
        } catch (error) {
            throw new UsageError(error.message);
        }
        if (parsed.values.help) {
            console.log(usage);
            return;
        }
        const result = await main(parsed.values, parsed.positionals);
        process.stdout.write(JSON.stringify(result) + "\n", () => process.exit(0)); // do not wait for the addon's worker threads
    } catch (error) {
        console.error(error instanceof UsageError ? `${error.message}\n\n${usage}` : `error: ${error.message ?? error}`);
        process.exit(error instanceof UsageError ? 2 : 1);
    }
}

/** The JSON in a file, or on stdin for "-". */
export async function readJson(path) {
    return JSON.parse(path === "-" ? await text(process.stdin) : await fs.readFile(path, "utf8"));
}

export function parseTokens(list) {
    const tokens = list.split(",").filter((part) => part.trim() !== "").map(Number);
    if (tokens.length === 0 || tokens.some((token) => !Number.isInteger(token) || token < 0)) throw new UsageError(`not a token list: ${list}`);
    return tokens;
}

export function parseCount(word, name) {
    const count = Number(word);
    if (!Number.isInteger(count) || count < 1) throw new UsageError(`--${name}: want a positive number, got ${word}`);
    return count;
}

/** Loads the file. llama.cpp's messages (warnings and worse, everything with `verbose`) go to stderr. */
export async function openModel(path, { threads, verbose = false, vocabOnly = false }) {
    const llama = await getLlama({
        gpu: false,
        build: "never", // never compile, never download
        skipDownload: true,
        progressLogs: false,
        logLevel: verbose ? LlamaLogLevel.debug : LlamaLogLevel.warn,
        logger: (level, message) => process.stderr.write(`[llama.cpp ${level}] ${message.trimEnd()}\n`),
        maxThreads: Number(threads),
    });
    return llama.loadModel({ modelPath: path, gpuLayers: 0, vocabOnly, ignoreMemorySafetyChecks: true });
}

const KV_TYPES = { f32: "F32", f16: "F16", bf16: "BF16", q8_0: "Q8_0", q5_1: "Q5_1", q5_0: "Q5_0", q4_1: "Q4_1", q4_0: "Q4_0" };
const FLASH = { auto: "auto", on: true, off: false };

/** Options that decide how a context computes. */
export const CONTEXT_OPTIONS = {
    ctx: { type: "string" }, // default: what the prompt needs
    kv: { type: "string", default: "f16" },
    flash: { type: "string", default: "auto" },
    ubatch: { type: "string", default: "512" },
    "swa-full": { type: "boolean", default: false },
};

export const CONTEXT_USAGE = `  --ctx N          context size (default: what the prompt needs; never shifted)
  --kv TYPE[/TYPE] K and V cache type: ${Object.keys(KV_TYPES).join(" ")} (default f16); V in blocks needs --flash on
  --flash WHEN     flash attention: auto on off (default auto, which is on for the CPU; it computes in f16 even with --kv f32)
  --ubatch N       tokens per forward pass (default 512)
  --swa-full       full-size cache for sliding layers
  --threads N      default: 2 at most
  --verbose        llama.cpp's whole log on stderr`;

/** A context with one sequence that can hold `nTokens`. */
export async function openSequence(model, nTokens, options) {
    const [keyType, valueType = keyType] = options.kv.split("/").map((type) => KV_TYPES[type]);
    if (!keyType || !valueType) throw new UsageError(`--kv: unknown type ${options.kv}`);
    if (!(options.flash in FLASH)) throw new UsageError(`--flash: unknown value ${options.flash}`);
    // The binding keeps one cell free and shifts the context beyond that: never let it come so far.
    const contextSize = options.ctx === undefined ? nTokens + 2 : parseCount(options.ctx, "ctx");
    if (contextSize < nTokens + 2) throw new UsageError(`--ctx ${contextSize}: ${nTokens} tokens need ${nTokens + 2}`);
    const context = await model.createContext({
        contextSize,
        batchSize: parseCount(options.ubatch, "ubatch"),
        threads: { ideal: Number(options.threads), min: Number(options.threads) },
        flashAttention: FLASH[options.flash],
        experimentalKvCacheKeyType: keyType,
        experimentalKvCacheValueType: valueType,
        swaFullCache: options["swa-full"],
        ignoreMemorySafetyChecks: true,
        failedCreationRemedy: false,
    });
    return context.getSequence();
}

/**
 * Evaluates `tokens` after what the sequence holds and calls `onLogits(index, map)` for the last token, or for every one with `all`.
 * `map` is token -> raw logit (float32, after the model's softcap, before any sampler), in falling order; only the first `top` if given.
 */
export async function evaluate(sequence, tokens, { all = false, top, onLogits }) {
    const logits = top === undefined ? true : { filter: { tokens: [], includeTop: top } };
    const ask = { generateNext: { logits, options: { temperature: 0 } } }; // temperature 0: the greedy sampler, which changes no logit
    const asked = (index) => all || index === tokens.length - 1;
    await sequence.controlledEvaluate(
        tokens.map((token, index) => (asked(index) ? [token, ask] : token)),
        {
            contextShift: { strategy: () => { throw new Error("context full"); } },
            onTokenResult(index, output) {
                onLogits(index, output.next.logits);
                delete output.next.logits; // a row of Gemma's vocabulary is some 20 MB: do not keep one per position
            },
        },
    );
}
