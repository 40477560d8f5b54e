// As much of GGUF as the conformance scripts need: one text of a file's metadata, and files that hold only metadata.
import fs from "node:fs";

const TYPES = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9 };
const SIZES = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };

/** The text of a key; an error if the file has none. */
export function readMetadataText(path, wanted) {
    const file = fs.openSync(path, "r");
    let at = 0;
    const bytes = (n) => {
        const buffer = Buffer.alloc(n);
        if (fs.readSync(file, buffer, 0, n, at) !== n) throw new Error(`${path}: ends early`);
        at += n;
        return buffer;
    };
    const u64 = () => Number(bytes(8).readBigUInt64LE());
    const u32 = () => bytes(4).readUInt32LE();
    const text = () => bytes(u64()).toString("utf8");
    const skip = (type) => {
        if (type === TYPES.string) at += u64();
        else if (type === TYPES.array) {
            const element = u32(), n = u64();
            if (element in SIZES) at += SIZES[element] * n;
            else for (let i = 0; i < n; ++i) skip(element);
        } else at += SIZES[type];
    };
    try {
        if (bytes(4).toString() !== "GGUF") throw new Error(`${path}: not a GGUF file`);
        u32();
        u64();
        for (let n = u64(); n > 0; --n) {
            const key = text(), type = u32();
            if (key === wanted && type === TYPES.string) return text();
            skip(type);
        }
    } finally {
        fs.closeSync(file);
    }
    throw new Error(`${path}: no ${wanted}`);
}

/** Writes a file without tensors. `entries`: [key, type, value], type one of u32 f32 bool string, or "array of …". */
export function writeMetadata(path, entries) {
    const chunks = [];
    const push = (n, write) => {
        const buffer = Buffer.alloc(n);
        write(buffer);
        chunks.push(buffer);
    };
    const u32 = (value) => push(4, (b) => b.writeUInt32LE(value));
    const u64 = (value) => push(8, (b) => b.writeBigUInt64LE(BigInt(value)));
    const text = (value) => {
        const encoded = Buffer.from(value, "utf8");
        u64(encoded.length);
        chunks.push(encoded);
    };
    const scalar = {
        u32,
        i32: (value) => push(4, (b) => b.writeInt32LE(value)),
        f32: (value) => push(4, (b) => b.writeFloatLE(value)),
        bool: (value) => push(1, (b) => b.writeUInt8(value ? 1 : 0)),
        string: text,
    };
    chunks.push(Buffer.from("GGUF"));
    u32(3);
    u64(0);
    u64(entries.length);
    for (const [key, type, value] of entries) {
        text(key);
        const element = type.startsWith("array of ") ? type.slice("array of ".length) : undefined;
        u32(element ? TYPES.array : TYPES[type]);
        if (element === undefined) scalar[type](value);
        else {
            u32(TYPES[element]);
            u64(value.length);
            for (const item of value) scalar[element](item);
        }
    }
    fs.writeFileSync(path, Buffer.concat(chunks));
}
