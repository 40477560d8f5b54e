// The cache of downloads is shared with the hub's own library: it finds what `carat pull` has brought, and `carat` finds
// what it has brought. Both talk to a small hub on this machine that serves a lab model.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { downloadFileToCacheDir, scanCacheDir } from "@huggingface/hub";

const HERE = dirname(fileURLToPath(import.meta.url));
const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const REPO = "lab/tiny", FILE = "tiny-BF16.gguf";
const content = readFileSync(join(HERE, "../../models/lab-s.gguf"));
const hash = createHash("sha256").update(content).digest("hex");

const carat = process.argv[2];
if (!carat) {
    console.error("usage: node hub.mjs CARAT");
    process.exit(2);
}
const folder = mkdtempSync(join(tmpdir(), "carat-hub-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

// Both ask in their own ways: Carat for the list of files, the library for facts about one path.
const facts = [{
    type: "file", path: FILE, size: content.length, oid: "a".repeat(40),
    lfs: { oid: hash, size: content.length, pointerSize: 135 },
    lastCommit: { id: COMMIT, title: "x", date: "2026-01-01T00:00:00.000Z" },
}];
const server = createServer((request, response) => {
    const json = () => {
        response.setHeader("Content-Type", "application/json");
        response.end(JSON.stringify(facts));
    };
    if (request.url.startsWith(`/api/models/${REPO}/`)) return json();
    response.setHeader("X-Repo-Commit", COMMIT);
    response.setHeader("ETag", `"${hash}"`);
    response.setHeader("X-Linked-Etag", `"${hash}"`);
    response.setHeader("X-Linked-Size", content.length);
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
    const first = range ? Number(range[1]) : 0, last = range ? Math.min(Number(range[2]), content.length - 1) : content.length - 1;
    if (range) response.setHeader("Content-Range", `bytes ${first}-${last}/${content.length}`);
    response.writeHead(range ? 206 : 200, { "Content-Length": last - first + 1 });
    response.end(request.method === "HEAD" ? undefined : content.subarray(first, last + 1));
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const hubUrl = `http://127.0.0.1:${server.address().port}`;

const run = async (cache, args) => {
    const env = { ...process.env, HF_ENDPOINT: hubUrl, HF_HUB_CACHE: cache, HF_TOKEN: "" };
    return (await promisify(execFile)(carat, args, { env, maxBuffer: 1 << 26 })).stdout;
};
let nFailed = 0;
const check = (what, good) => {
    console.log(`${good ? "ok  " : "FAIL"}  ${what}`);
    nFailed += good ? 0 : 1;
};

const ours = join(folder, "ours");
const path = (await run(ours, ["pull", `${REPO}:BF16`])).trim();
check("carat pull brings the content", readFileSync(path).equals(content));
const { repos, warnings } = await scanCacheDir(ours);
check("the library finds nothing odd in Carat's cache", warnings.length === 0);
const revision = [...repos[0].revisions][0];
check("the library finds the repository", repos[0].id.name === REPO && repos[0].size === content.length);
check("the library finds commit and branch", revision.commitOid === COMMIT && [...revision.refs].includes("main"));
check("the library finds the file", revision.files.length === 1 && realpathSync(revision.files[0].path) === realpathSync(path));

const theirs = join(folder, "theirs");
await downloadFileToCacheDir({ repo: REPO, path: FILE, cacheDir: theirs, hubUrl });
const inspected = JSON.parse(await run(theirs, ["inspect", "--json", `hf:${REPO}:BF16`]));
check("carat finds what the library has brought", inspected.bytes === content.length);
const pulled = JSON.parse(await run(theirs, ["pull", "--json", `${REPO}:BF16`]));
check("carat pull does not bring it again", pulled[0].was_there);

server.close();
console.log(nFailed === 0 ? "hub: the cache is shared" : `hub: ${nFailed} checks failed`);
process.exit(nFailed === 0 ? 0 : 1);
