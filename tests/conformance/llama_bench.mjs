// llama.cpp's side of peers.mjs: a process that opens one model and then measures what it is asked for, line by line.
// It is shown at its best: weights mapped, no sampling, no logits but the wanted ones, no checkpoints of its cache, and
// each measure with flash attention on or off, whichever its caller finds faster.
import { createInterface } from "node:readline";
import { getLlama, LlamaLogLevel } from "node-llama-cpp";
import { parseCount, parseTokens, runCli, UsageError } from "./llama.mjs";

const USAGE = `usage: node llama_bench.mjs MODEL.gguf [--ctx N] [--threads N]
       node llama_bench.mjs MODEL.gguf --first-token 2,3,4 [--flash on|off]

reads lines of JSON on stdin and answers each with {"seconds":S,"own_seconds":T}, T as llama.cpp itself counts it:
  {"prompt":512,"flash":true}              a prompt of so many tokens, logits of the last one
  {"decode":32,"depth":0,"flash":false}    so many tokens, one by one with logits, up to so many in the cache before; the
                                           next such jobs go on behind them, as filling a long cache takes minutes
--first-token: loads the model and evaluates these tokens in a context of 4096. own_seconds is from the start of
llama.cpp's loading to the end of its first evaluation, without what the binding does before; node's start never counts.`;

const BATCH = 512;
let log = ""; // llama.cpp's, of the latest measure

async function start(threads) {
    return getLlama({
        gpu: false,
        build: "never",
        skipDownload: true,
        progressLogs: false,
        logLevel: LlamaLogLevel.info,
        logger: (level, message) => {
            log += message;
            if (level === "error" || level === "fatal") process.stderr.write(`[llama.cpp ${level}] ${message.trimEnd()}\n`);
        },
        maxThreads: threads,
    });
}

const loadModel = (llama, path) => llama.loadModel({ modelPath: path, gpuLayers: 0, useMmap: true, ignoreMemorySafetyChecks: true });

async function openSequence(model, nTokens, flash, threads) {
    const context = await model.createContext({
        contextSize: nTokens,
        batchSize: BATCH,
        threads: { ideal: threads, min: threads },
        flashAttention: flash,
        ignoreMemorySafetyChecks: true,
        failedCreationRemedy: false,
        performanceTracking: true,
    });
    return { context, sequence: context.getSequence({ checkpoints: { max: 0, interval: false } }) };
}

// Computes the tokens and the last one's logits, and leaves them where they are. `_noSampling` is the binding's own.
async function evaluate(sequence, tokens) {
    for await (const _ of sequence.evaluate(tokens, { _noSampling: true })) throw new Error("the binding has sampled");
}

// The same tokens on every run; ordinary ones of any vocabulary.
const someTokens = (n) => Array.from({ length: n }, (_, i) => 300 + ((i * 7919) % 200));

// What llama.cpp has counted since it was asked last: seconds of loading up to the end of the first evaluation, and of
// evaluating prompts and single tokens together.
async function ownTimes(context) {
    log = "";
    await context.printTimings();
    for (let tries = 0; tries < 100; ++tries) {
        const found = [...log.matchAll(/(?:load|eval) time =\s*([0-9.]+) ms/g)].map(([, ms]) => Number(ms) / 1000);
        if (found.length === 3) return { loading: found[0], evaluating: found[1] + found[2] };
        await new Promise((accept) => setTimeout(accept, 10)); // messages come from another thread
    }
    throw new Error(`llama.cpp's timings are not as expected: ${log}`);
}

async function timed({ context }, body) {
    await ownTimes(context);
    const begin = performance.now();
    await body();
    const seconds = (performance.now() - begin) / 1000;
    return { seconds, own_seconds: (await ownTimes(context)).evaluating };
}

async function decode(sequence, n) {
    for (const token of someTokens(n)) await evaluate(sequence, [token]);
}

async function measure(open, { prompt, decode: nDecode, depth = 0 }) {
    const { sequence } = open;
    if (depth === 0 || open.depth !== depth) {
        await sequence.clearHistory();
        open.depth = depth;
        if (prompt) return timed(open, () => evaluate(sequence, someTokens(prompt)));
        if (depth > 0) await sequence.evaluateWithoutGeneratingNewTokens(someTokens(depth));
    }
    return timed(open, () => decode(sequence, nDecode));
}

async function serve(path, { threads, ctx }) {
    const nThreads = parseCount(threads, "threads");
    const model = await loadModel(await start(nThreads), path);
    const repacked = /REPACK/.test(log);
    const open = {};
    for (const flash of [true, false]) open[flash] = await openSequence(model, parseCount(ctx, "ctx") + BATCH, flash, nThreads);
    process.stdout.write(JSON.stringify({ ready: true, repacked }) + "\n");
    for await (const line of createInterface({ input: process.stdin })) {
        const job = JSON.parse(line);
        process.stdout.write(JSON.stringify(await measure(open[job.flash], job)) + "\n");
    }
    return {};
}

async function firstToken(path, { threads, flash, "first-token": list }) {
    const nThreads = parseCount(threads, "threads");
    const llama = await start(nThreads);
    const begin = performance.now();
    const model = await loadModel(llama, path);
    const { context, sequence } = await openSequence(model, 4096, flash === "on", nThreads);
    await evaluate(sequence, parseTokens(list));
    const seconds = (performance.now() - begin) / 1000;
    return { seconds, own_seconds: (await ownTimes(context)).loading };
}

const OPTIONS = { ctx: { type: "string", default: "1024" }, flash: { type: "string", default: "on" }, "first-token": { type: "string" } };
await runCli(USAGE, OPTIONS, async (options, paths) => {
    if (paths.length !== 1) throw new UsageError("one model file is expected");
    return options["first-token"] === undefined ? serve(paths[0], options) : firstToken(paths[0], options);
});
