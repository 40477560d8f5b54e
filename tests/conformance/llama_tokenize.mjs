// Token ids as llama.cpp makes them: the yardstick for `carat tokenize`.
import { UsageError, openModel, readJson, runCli } from "./llama.mjs";

const USAGE = `usage: node llama_tokenize.mjs MODEL.gguf [--special] < STRINGS.json

reads a JSON list of strings on stdin, prints a list of id lists. No <bos> is added.
  --special        parse control tokens in the text (user-defined tokens are always parsed)
  --verbose        llama.cpp's whole log on stderr`;

// There is no way back here on purpose: llama_detokenize() on a whole list "cleans" spaces (" ." becomes ".").
await runCli(USAGE, { special: { type: "boolean", default: false } }, async (options, [path, ...rest]) => {
    if (path === undefined || rest.length > 0) throw new UsageError("want one model file");
    const strings = await readJson("-");
    const model = await openModel(path, { ...options, vocabOnly: true });
    return strings.map((string) => model.tokenize(string, options.special));
});
