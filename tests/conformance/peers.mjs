// Carat beside llama.cpp (npm's node-llama-cpp, CPU) on the same synthetic files in the shape of a published size, on the
// same threads, in turns within the same minutes. A file is made, measured and deleted before the next one is made.
import { execFileSync, spawn } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import os from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { bars } from "./svg_bars.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const USAGE = `usage: scripts/bench-peers.sh [options]

  --like SIZE      shape: e2b (default), e4b, 12b, 26b-a4b, 31b; the last three with fewer layers, see --synth
  --synth LIST     more options of \`carat synth\`, e.g. layers=8,experts=64
  --types LIST     default Q4_0,Q4_K,Q6_K,Q8_0
  --only LIST      of prompt,uncut,decode,repacked,deep,first (default: all). prompt: --prompt tokens, logits of the last one;
                   uncut: the same with carat bench --no-prefill-cut; decode: --decode tokens, nothing in the cache before;
                   repacked: the same with carat bench --repack (llama.cpp repacks the types it can by itself);
                   deep: the same with --depth tokens in the cache; first: from nothing to the first token after a
                   prompt of 16, as a whole process of carat; of llama.cpp from the start of loading, as it counts itself
  --prompt N, --decode N, --depth N      default 512, 64, 4096
  --flash on|off   llama.cpp's flash attention, without trying which is faster (default: try, for each file and measure)
  --rounds N       how often each measure is taken in turns; medians count (default 3)
  --threads N      default: all CPUs
  --out FILE.md    the table is appended to it
  --plot FILE.svg  bars of the ratios
  --dir FOLDER     where the files are made (default: a new one in $TMPDIR); --keep leaves them there and takes those
                   that are there already`;

const SYNTH = { "12b": "layers=12", "26b-a4b": "layers=6", "31b": "layers=6" }; // otherwise files of 7 GB and more

const MEASURES = {
    prompt: { title: (o) => `prompt of ${o.prompt}` },
    uncut: { title: (o) => `prompt of ${o.prompt}, no cut` },
    decode: { title: (o) => `decode ${o.decode}` },
    repacked: { title: (o) => `decode ${o.decode}, --repack` },
    deep: { title: (o) => `decode ${o.decode} at ${o.depth}` },
    first: { title: () => "start to first token" },
};

function fail(message) {
    console.error(`bench-peers: ${message}`);
    process.exit(2);
}

function parseOptions() {
    const text = (value) => ({ type: "string", ...(value === undefined ? {} : { default: value }) });
    let values;
    try {
        ({ values } = parseArgs({
            options: {
                carat: text(), like: text("e2b"), synth: text(), types: text("Q4_0,Q4_K,Q6_K,Q8_0"), only: text(Object.keys(MEASURES).join(",")),
                prompt: text("512"), decode: text("64"), depth: text("4096"), rounds: text("3"), threads: text(String(os.availableParallelism())),
                out: text(), plot: text(), flash: text(), dir: text(), keep: { type: "boolean", default: false }, help: { type: "boolean", default: false },
            },
        }));
    } catch (error) {
        fail(`${error.message}\n\n${USAGE}`);
    }
    if (values.help) {
        console.log(USAGE);
        process.exit(0);
    }
    for (const name of ["prompt", "decode", "depth", "rounds", "threads"]) {
        const count = Number(values[name]);
        if (!Number.isInteger(count) || count < 1) fail(`--${name} ${values[name]}: a positive number is expected`);
        values[name] = count;
    }
    if (!["on", "off", undefined].includes(values.flash)) fail(`--flash ${values.flash}: on or off is expected`);
    values.only = values.only.split(",");
    for (const name of values.only) if (!(name in MEASURES)) fail(`--only ${name}: expected of ${Object.keys(MEASURES).join(", ")}`);
    values.synth ??= SYNTH[values.like] ?? "";
    return values;
}

const O = parseOptions();
const SHAPE = [O.like, O.synth].filter(Boolean).join(" ");
// "layers=8" -> --layers 8
const SYNTH_ARGS = O.synth.split(",").filter(Boolean).flatMap((pair) => [`--${pair.split("=")[0]}`, pair.split("=")[1] ?? ""]);
const carat = (...args) => execFileSync(O.carat, args, { maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "pipe"] }).toString();
const median = (values) => {
    const sorted = [...values].sort((a, b) => a - b);
    const middle = sorted.length >> 1;
    return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};
const spreadOf = (values) => Math.max(...values) / Math.min(...values);
const seconds = (body) => {
    const begin = performance.now();
    const result = body();
    return [(performance.now() - begin) / 1000, result];
};

// ---- llama.cpp

class Llama {
    constructor(file) {
        const longest = Math.max(O.prompt, O.decode * (O.only.includes("deep") ? 2 * O.rounds + 4 : 1) + (O.only.includes("deep") ? O.depth : 0));
        const args = [join(HERE, "llama_bench.mjs"), file, "--ctx", String(longest + 2), "--threads", String(O.threads)];
        this.child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
        this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
        this.ready = this.next();
    }
    async next() {
        for (;;) {
            const { value, done } = await this.lines.next();
            if (done) throw new Error("llama.cpp's process has ended");
            if (value.startsWith("{")) return JSON.parse(value); // llama.cpp may print a line of its own
        }
    }
    async measure(job) {
        await this.ready;
        this.child.stdin.write(JSON.stringify(job) + "\n");
        return this.next();
    }
    // The better of two runs each, after one to warm up.
    async fasterFlash(job) {
        if (O.flash) return O.flash === "on";
        const best = {};
        for (const flash of [true, false]) {
            await this.measure({ ...job, flash });
            const runs = [await this.measure({ ...job, flash }), await this.measure({ ...job, flash })];
            best[flash] = Math.min(...runs.map((run) => run.own_seconds));
        }
        return best[true] <= best[false];
    }
    stop() {
        this.child.stdin.end();
    }
}

function llamaFirst(file, tokens, flash) {
    const args = [join(HERE, "llama_bench.mjs"), file, "--first-token", tokens.join(","), "--threads", String(O.threads), "--flash", flash ? "on" : "off"];
    const out = execFileSync(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] }).toString();
    return JSON.parse(out.slice(out.indexOf("{")));
}

// ---- Carat

// One measured run after one that warms up, in a process of its own.
function caratBench(file, ...args) {
    const [entry] = JSON.parse(carat("bench", file, "-r", "1", "--threads", String(O.threads), "--json", ...args));
    const tokens = Number(entry.test.replace(/\D/g, ""));
    return { seconds: tokens / entry.tok_s, share: entry.roof_share, roof: entry.roof };
}

// A text of exactly n tokens, and its ids.
function promptOf(file, n) {
    for (let text = "a"; text.length < 20 * n; text += text.length % 5 === 0 ? " a" : "b") {
        const tokens = JSON.parse(carat("tokenize", file, text, "--json"));
        if (tokens.length === n) return { text, tokens };
    }
    throw new Error(`no prompt of ${n} tokens was found`);
}

function caratFirst(file, text) {
    return seconds(() => carat("run", file, "--raw", "--prompt", text, "-n", "1", "--ignore-eos", "--threads", String(O.threads)))[0];
}

// ---- taking turns

const job = { prompt: () => ({ prompt: O.prompt }), decode: () => ({ decode: O.decode }), deep: () => ({ decode: O.decode, depth: O.depth }) };
const ours = {
    prompt: (file) => caratBench(file, "-p", String(O.prompt), "-n", "0"),
    uncut: (file) => caratBench(file, "-p", String(O.prompt), "-n", "0", "--no-prefill-cut"),
    decode: (file) => caratBench(file, "-p", "0", "-n", String(O.decode)),
    repacked: (file) => caratBench(file, "-p", "0", "-n", String(O.decode), "--repack"),
    deep: (file) => caratBench(file, "-p", "0", "-n", String(O.decode), "-d", String(O.depth)),
};

// The measures of one group share llama.cpp's runs: it has no prefill cut. -> { measure: { carat, llama, … } }
async function takeTurns(file, llama, kind, names) {
    const flash = await llama.fasterFlash(job[kind]());
    const theirs = [];
    const mine = Object.fromEntries(names.map((name) => [name, []]));
    for (let round = 0; round < O.rounds; ++round) {
        for (const name of names) mine[name].push(ours[name](file));
        // As Carat's, a measured run comes right after one that warms up.
        await llama.measure({ ...job[kind](), flash });
        theirs.push(await llama.measure({ ...job[kind](), flash }));
    }
    const llamaSeconds = median(theirs.map((run) => run.own_seconds));
    const outside = median(theirs.map((run) => run.seconds - run.own_seconds)); // of llama.cpp, in JavaScript and between
    return names.map((name) => ({
        name,
        carat: median(mine[name].map((run) => run.seconds)),
        llama: llamaSeconds,
        flash,
        outside: outside / llamaSeconds,
        roof: `${Math.round(100 * median(mine[name].map((run) => run.share)))} % ${mine[name][0].roof}`,
        spread: spreadOf(theirs.map((run) => run.own_seconds)),
        ownSpread: spreadOf(mine[name].map((run) => run.seconds)),
    }));
}

function firstTokens(file) {
    const { text, tokens } = promptOf(file, 16);
    llamaFirst(file, tokens, true); // warms up
    const flash = O.flash ? O.flash === "on" : llamaFirst(file, tokens, true).own_seconds <= llamaFirst(file, tokens, false).own_seconds;
    caratFirst(file, text);
    const mine = [];
    const theirs = [];
    for (let round = 0; round < O.rounds; ++round) {
        mine.push(caratFirst(file, text));
        theirs.push(llamaFirst(file, tokens, flash));
    }
    const own = theirs.map((run) => run.own_seconds);
    const llama = median(own);
    const outside = median(theirs.map((run) => run.seconds - run.own_seconds)) / llama;
    return [{ name: "first", carat: median(mine), llama, flash, outside, roof: "", spread: spreadOf(own), ownSpread: spreadOf(mine) }];
}

async function measureFile(file) {
    const results = [];
    const wants = (name) => O.only.includes(name);
    if (["prompt", "uncut", "decode", "repacked", "deep"].some(wants)) {
        const llama = new Llama(file);
        const { repacked: llamaRepacks } = await llama.ready;
        llama.ready = { repacked: llamaRepacks };
        if (wants("prompt") || wants("uncut")) results.push(...(await takeTurns(file, llama, "prompt", ["prompt", "uncut"].filter(wants))));
        if (wants("decode") || wants("repacked"))
            results.push(...(await takeTurns(file, llama, "decode", ["decode", "repacked"].filter(wants))));
        if (wants("deep")) results.push(...(await takeTurns(file, llama, "deep", ["deep"])));
        for (const result of results) result.llamaRepacks = llamaRepacks;
        llama.stop();
    }
    if (wants("first")) results.push(...firstTokens(file));
    return results;
}

// ---- reporting

const PEER = JSON.parse(readFileSync(join(HERE, "package.json"), "utf8")).devDependencies["node-llama-cpp"];
const cpu = os.cpus()[0].model;
let commit = "";
try {
    commit = execFileSync("git", ["-C", HERE, "describe", "--always", "--dirty"]).toString().trim();
} catch {
    commit = "no commit";
}

function speed(name, time) {
    if (name === "first") return `${Math.round(1000 * time)} ms`;
    const tokens = name === "prompt" || name === "uncut" ? O.prompt : O.decode;
    return `${(tokens / time).toFixed(tokens / time < 100 ? 2 : 1)} t/s`;
}

function table(rows) {
    const lines = [
        `### ${SHAPE}, ${O.threads} thread${O.threads > 1 ? "s" : ""}`,
        "",
        `\`scripts/bench-peers.sh ${process.argv.slice(2).filter((a, i, all) => a !== "--carat" && all[i - 1] !== "--carat").map((a) => (/\s/.test(a) ? `"${a}"` : a)).join(" ")}\`; ${cpu}; ` +
            `node-llama-cpp ${PEER}; commit ${commit}; ${new Date().toISOString().slice(0, 10)}. Medians of ${O.rounds}, in turns. ` +
            "Ratio: llama.cpp's time by its own count, divided by Carat's. Binding: what JavaScript around llama.cpp takes beside that; " +
            "it does not count.",
        "",
        "| type | GB | measure | carat | llama.cpp | ratio | carat of roof | spread and llama.cpp's mode |",
        "|---|---|---|---|---|---|---|---|",
    ];
    for (const { type, bytes, name, carat: mine, llama, flash, outside, llamaRepacks, roof, spread, ownSpread } of rows) {
        const notes = [`±${Math.round(50 * (ownSpread - 1))} % and ±${Math.round(50 * (spread - 1))} %`, `flash ${flash ? "on" : "off"}`];
        if (llamaRepacks) notes.push("llama.cpp repacks");
        const share = `${(100 * outside).toFixed(1)} %`;
        notes.push(`binding ${share}`);
        lines.push(
            `| ${type} | ${(bytes / 1e9).toFixed(2)} | ${MEASURES[name].title(O)} | ${speed(name, mine)} | ${speed(name, llama)} | ` +
                `**${(llama / mine).toFixed(2)}** | ${roof} | ${notes.join(", ")} |`,
        );
    }
    return lines.join("\n") + "\n";
}

// ---- all files

if (!O.carat) fail("--carat PROGRAM is missing (scripts/bench-peers.sh gives it)");
const folder = O.dir ?? mkdtempSync(join(os.tmpdir(), "carat-peers-"));
mkdirSync(folder, { recursive: true });
const made = new Set();
process.on("exit", () => {
    for (const file of made) rmSync(file, { force: true });
    if (!O.dir) rmSync(folder, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(130));

const rows = [];
for (const type of O.types.split(",")) {
    const file = join(folder, `${SHAPE}_${type}`.replace(/[^\w.-]/g, "_") + ".gguf");
    if (!(O.keep && existsSync(file))) {
        if (!O.keep) made.add(file);
        carat("synth", file, "--like", O.like, "--type", type, ...SYNTH_ARGS);
    }
    const bytes = statSync(file).size;
    for (const result of await measureFile(file)) {
        rows.push({ type, bytes, ...result });
        console.error(`${type} ${MEASURES[result.name].title(O)}: carat ${speed(result.name, result.carat)}, llama.cpp ${speed(result.name, result.llama)}`);
    }
    if (made.delete(file)) rmSync(file);
}
console.log("\n" + table(rows));
if (O.out) appendFileSync(O.out, "\n" + table(rows));
if (O.plot) {
    const title = `Carat's speed beside llama.cpp's: ${SHAPE}, ${O.threads} threads, ${cpu}`;
    writeFileSync(O.plot, bars(title, rows.map(({ type, name, carat: mine, llama }) => ({ label: `${type}: ${MEASURES[name].title(O)}`, value: llama / mine }))));
}
