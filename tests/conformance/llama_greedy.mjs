// Greedy continuation as llama.cpp computes it, one token per forward pass: the yardstick for decoding.
import { CONTEXT_OPTIONS, CONTEXT_USAGE, UsageError, evaluate, openModel, openSequence, parseCount, parseTokens, readJson, runCli } from "./llama.mjs";

const USAGE = `usage: node llama_greedy.mjs MODEL.gguf (--tokens 2,3,4 | --batch FILE.json) [-n 32] [options]

  --tokens LIST    prompt, comma separated ids; nothing is added (give <bos> yourself)
  --batch FILE     JSON list of prompts, each a list of ids (- = stdin): one load, one result per prompt
  -n N             how many tokens to generate (default 32); end-of-generation tokens do not stop it
  --stop           stop after the first end-of-generation token
${CONTEXT_USAGE}

prints {"tokens":[...],"margins":[...]}, or a list of such with --batch: the ids, and for each the gap in log-probability to the runner-up
(a small margin means that another correct engine may well choose differently from there on).`;

async function continuation(model, sequence, prompt, count, stop) {
    const tokens = [];
    const margins = [];
    let input = prompt;
    await sequence.clearHistory();
    while (tokens.length < count) {
        await evaluate(sequence, input, {
            top: 3,
            onLogits(_, logits) {
                // Equal logits: the lower id wins, as in llama.cpp's greedy sampler (first maximum).
                const [best, runnerUp] = [...logits].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
                tokens.push(best[0]);
                margins.push(best[1] - runnerUp[1]);
            },
        });
        const last = tokens.at(-1);
        if (stop && model.isEogToken(last)) break;
        input = [last];
    }
    return { tokens, margins };
}

await runCli(
    USAGE,
    {
        ...CONTEXT_OPTIONS,
        tokens: { type: "string" },
        batch: { type: "string" },
        count: { type: "string", short: "n", default: "32" },
        stop: { type: "boolean", default: false },
    },
    async (options, [path, ...rest]) => {
        if (path === undefined || rest.length > 0) throw new UsageError("want one model file");
        if ((options.tokens === undefined) === (options.batch === undefined)) throw new UsageError("give either --tokens or --batch");
        const prompts = options.batch === undefined ? [parseTokens(options.tokens)] : await readJson(options.batch);
        const count = parseCount(options.count, "n");
        const model = await openModel(path, options);
        const sequence = await openSequence(model, Math.max(...prompts.map((prompt) => prompt.length)) + count, options);
        const results = [];
        for (const prompt of prompts) results.push(await continuation(model, sequence, prompt, count, options.stop));
        return options.batch === undefined ? results[0] : results;
    },
);
