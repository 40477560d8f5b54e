// Top-K log-probabilities per position as llama.cpp computes them: the yardstick for `carat logits`.
import { CONTEXT_OPTIONS, CONTEXT_USAGE, UsageError, evaluate, openModel, openSequence, parseCount, parseTokens, readJson, runCli } from "./llama.mjs";

const USAGE = `usage: node llama_logits.mjs MODEL.gguf (--tokens 2,3,4 [--all] [--top K] | --batch FILE.json) [options]

  --tokens LIST    token ids, comma separated; nothing is added (give <bos> yourself)
  --all            every position instead of the last one
  --top K          how many tokens per position (default 64, 0 = whole vocabulary)
  --batch FILE     JSON list of {tokens, all, top} (- = stdin): one load, one result per entry
${CONTEXT_USAGE}

prints {"rows":[{"pos":N,"top":[[id,logprob],...]},...]}, or a list of such with --batch.
logprob: natural log of the softmax over the whole vocabulary, summed in double precision from llama.cpp's float32 logits.`;

/** [[id, log-probability], ...] of the `top` likeliest tokens (0 = all; ties: lower id first). `logits` falls in value. */
function topLogProbs(logits, top) {
    const limit = top || Infinity;
    const best = [];
    let max;
    let sum = 0;
    for (const [id, logit] of logits) {
        max ??= logit;
        sum += Math.exp(logit - max);
        if (best.length < limit || logit === best.at(-1)[1]) best.push([id, logit]);
    }
    best.sort((a, b) => b[1] - a[1] || a[0] - b[0]);
    const logSum = max + Math.log(sum);
    return best.slice(0, limit).map(([id, logit]) => [id, logit - logSum]);
}

async function logitRows(sequence, { tokens, all = false, top = 64 }) {
    const rows = [];
    await sequence.clearHistory();
    await evaluate(sequence, tokens, { all, onLogits: (pos, logits) => rows.push({ pos, top: topLogProbs(logits, top) }) });
    return { rows: rows.sort((a, b) => a.pos - b.pos) };
}

async function readJobs(options) {
    if ((options.tokens === undefined) === (options.batch === undefined)) throw new UsageError("give either --tokens or --batch");
    if (options.batch === undefined)
        return [{ tokens: parseTokens(options.tokens), all: options.all, top: options.top === "0" ? 0 : parseCount(options.top, "top") }];
    return readJson(options.batch);
}

await runCli(
    USAGE,
    {
        ...CONTEXT_OPTIONS,
        tokens: { type: "string" },
        all: { type: "boolean", default: false },
        top: { type: "string", default: "64" },
        batch: { type: "string" },
    },
    async (options, [path, ...rest]) => {
        if (path === undefined || rest.length > 0) throw new UsageError("want one model file");
        const jobs = await readJobs(options);
        const model = await openModel(path, options);
        const sequence = await openSequence(model, Math.max(...jobs.map((job) => job.tokens.length)), options);
        const results = [];
        for (const job of jobs) results.push(await logitRows(sequence, job));
        return options.batch === undefined ? results[0] : results;
    },
);
