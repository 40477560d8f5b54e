// Reads GGUF files and writes them in other shapes, for checks on files that Carat does not write itself: split models,
// matrices with scales beside them. Trusts its input: it is for files that were made a moment ago.
import { readFileSync, writeFileSync } from "node:fs";

const ALIGNMENT = 32;
const SIZES = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };
export const F32 = 0;

class Reader {
    constructor(bytes) {
        this.bytes = bytes;
        this.at = 0;
    }
    u32() {
        this.at += 4;
        return this.bytes.readUInt32LE(this.at - 4);
    }
    u64() {
        this.at += 8;
        return Number(this.bytes.readBigUInt64LE(this.at - 8));
    }
    string() {
        const length = this.u64();
        this.at += length;
        return this.bytes.toString("utf8", this.at - length, this.at);
    }
    skipValue(type) {
        if (type === 8) this.string();
        else if (type === 9) {
            const element = this.u32();
            const count = this.u64();
            for (let i = 0; i < count; ++i) this.skipValue(element);
        } else this.at += SIZES[type];
    }
}

/** {keys: [{key, raw}], tensors: [{name, dims, type, data}]}; raw is the value's type and bytes. */
export function readGguf(path) {
    const reader = new Reader(readFileSync(path));
    reader.at = 8;
    const nTensors = reader.u64();
    const nKeys = reader.u64();
    const keys = [];
    for (let i = 0; i < nKeys; ++i) {
        const key = reader.string();
        const begin = reader.at;
        reader.skipValue(reader.u32());
        keys.push({ key, raw: reader.bytes.subarray(begin, reader.at) });
    }
    const tensors = [];
    for (let i = 0; i < nTensors; ++i) {
        const name = reader.string();
        const dims = Array.from({ length: reader.u32() }, () => reader.u64());
        tensors.push({ name, dims, type: reader.u32(), offset: reader.u64() });
    }
    const start = Math.ceil(reader.at / ALIGNMENT) * ALIGNMENT;
    for (const [i, tensor] of tensors.entries()) {
        const end = i + 1 < tensors.length ? tensors[i + 1].offset : reader.bytes.length - start;
        tensor.data = reader.bytes.subarray(start + tensor.offset, start + end); // with its padding
    }
    return { keys, tensors };
}

function number(size, value) {
    const bytes = Buffer.alloc(size);
    if (size === 2) bytes.writeUInt16LE(value);
    else if (size === 4) bytes.writeUInt32LE(value);
    else bytes.writeBigUInt64LE(BigInt(value));
    return bytes;
}
const string = (text) => Buffer.concat([number(8, Buffer.byteLength(text)), Buffer.from(text)]);
const padding = (n) => Buffer.alloc((ALIGNMENT - (n % ALIGNMENT)) % ALIGNMENT);

export const u16Key = (key, value) => ({ key, raw: Buffer.concat([number(4, 2), number(2, value)]) });
export const i32Key = (key, value) => ({ key, raw: Buffer.concat([number(4, 5), number(4, value)]) });

/** A tensor of floats. */
export function f32Tensor(name, dims, values) {
    const data = Buffer.from(Float32Array.from(values).buffer);
    return { name, dims, type: F32, data: Buffer.concat([data, padding(data.length)]) };
}

export function writeGguf(path, { keys, tensors }) {
    const parts = [Buffer.from("GGUF"), number(4, 3), number(8, tensors.length), number(8, keys.length)];
    for (const { key, raw } of keys) parts.push(string(key), raw);
    let offset = 0;
    for (const { name, dims, type, data } of tensors) {
        parts.push(string(name), number(4, dims.length), ...dims.map((dim) => number(8, dim)), number(4, type), number(8, offset));
        offset += data.length + padding(data.length).length;
    }
    const head = Buffer.concat(parts);
    writeFileSync(path, Buffer.concat([head, padding(head.length), ...tensors.flatMap(({ data }) => [data, padding(data.length)])]));
}

/** Writes `n` parts and returns their paths, first part first. */
export function splitGguf(path, prefix, n) {
    const { keys, tensors } = readGguf(path);
    const paths = [];
    for (let no = 0; no < n; ++no) {
        const mine = tensors.slice(Math.floor((tensors.length * no) / n), Math.floor((tensors.length * (no + 1)) / n));
        const split = [u16Key("split.no", no), u16Key("split.count", n), i32Key("split.tensors.count", tensors.length)];
        paths.push(`${prefix}-${String(no + 1).padStart(5, "0")}-of-${String(n).padStart(5, "0")}.gguf`);
        writeGguf(paths[no], { keys: no === 0 ? [...keys, ...split] : split, tensors: mine });
    }
    return paths;
}
