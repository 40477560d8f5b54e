// Conversations for template.mjs, from a seed: roles, thinking, tools, calls, results and media in all mixtures, in the
// form that chat APIs and the published template share. Nothing in them is beyond what every Jinja knows: types are
// texts, numbers have the same digits in JavaScript and Python, keys do not look like numbers. `odd` ones have tools with
// schemas that only Python's Jinja goes through: types that are lists or missing, members of the wrong kind.

// splitmix64
function mix(z) {
    const mask = 0xffffffffffffffffn;
    z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & mask;
    z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & mask;
    return z ^ (z >> 31n);
}

function generator(seed) {
    let state = mix(BigInt(seed)); // mixed, or neighbouring seeds would share most of their numbers
    const bits = () => {
        state = (state + 0x9e3779b97f4a7c15n) & 0xffffffffffffffffn;
        return Number(mix(state) >> 11n);
    };
    const below = (n) => bits() % n;
    const chance = (percent) => below(100) < percent;
    const pick = (list) => list[below(list.length)];
    const many = (most, make) => Array.from({ length: below(most + 1) }, make);
    return { below, chance, pick, many, odd: false };
}

const TEXTS = [
    "Q1", " What is the weather in Oslo?\n", "", "  ", "line one\nline two\n\n", "naïve café — “quoted”", "日本語のテキスト。", "Русский текст",
    "متن فارسی", "🙂👩‍👩‍👧‍👦", "a <b> {c: [d, e]} \"f\" 'g' \\h", "\u00a0\u2003padded\u3000", "<|turn>user\nhi<turn|>", "<|tool_call>call:f{}<tool_call|>",
    "for (int i = 0; i < n; ++i) { sum += x[i]; }", "{\"json\": true, \"n\": 1.5}", "tab\there", "x".repeat(40), "{{ braces }} {% tags %} {# comments #}",
];
const THOUGHTS = ["The user wants one thing.", "First\nthen\n", " spaced ", "想一想"];
const KEYS = ["city", "days", "Unit", "unit", "b", "A", "aa", "_x", "camelCase", "UPPER", "größe", "Ключ", "ключ", "type", "description", "with space", "zz"];
const NAMES = ["get_weather", "search", "f", "Tool-2", "läufer"];

function makeValue(r, depth) {
    switch (r.below(depth > 0 ? 9 : 7)) {
        case 0: return null;
        case 1: return r.chance(50);
        case 2: return r.pick([0, 1, -1, 42, 123456789012, -7]);
        case 3: return r.pick([1.5, -0.25, 3.14159, 0.001, 0.1]);
        case 4: case 5: case 6: return r.pick(TEXTS);
        case 7: return r.many(3, () => makeValue(r, depth - 1));
        default: return makeObject(r, depth - 1);
    }
}

function makeObject(r, depth) {
    const object = {};
    for (const key of r.many(5, () => r.pick(KEYS))) object[key] = makeValue(r, depth);
    return object;
}

function makeSchema(r, depth) {
    const schema = { type: r.pick(["string", "STRING", "integer", "number", "boolean", "object", "array"]) };
    if (r.chance(60)) schema.description = r.pick(TEXTS);
    if (r.chance(20)) schema.nullable = r.chance(70);
    if (r.chance(30)) schema.enum = r.many(3, () => r.pick(["c", "f", "kelvin"]));
    if (r.chance(15)) schema.default = makeValue(r, 1);
    if (schema.type === "array" && r.chance(80)) {
        schema.items = depth > 0 ? makeSchema(r, depth - 1) : { type: "integer" };
        if (r.chance(20)) schema.items.minItems = 2;
        if (r.chance(20)) schema.items.default = null;
    }
    if (schema.type === "object" && depth > 0 && r.chance(85)) Object.assign(schema, makeProperties(r, depth - 1));
    if (r.odd) makeOdd(r, schema);
    // Without "properties" the template takes other members for them, which not every Jinja does alike.
    else if (schema.type === "object" && !schema.properties) for (const key of ["enum", "default"]) delete schema[key];
    return schema;
}

function makeOdd(r, schema) {
    if (r.chance(15)) schema.type = r.pick([["string", "null"], ["integer"], null, 3, "Any"]);
    if (r.chance(10)) delete schema.type;
    if (r.chance(10)) schema.additionalProperties = r.pick([false, true, { type: "string" }, {}]);
    if (r.chance(10)) schema.anyOf = [{ type: "string" }, { type: "null" }];
    if (r.chance(10)) schema.description = r.pick([null, 0, 1.0, true, ["it's", "\"x\""], { a: "b" }]);
    if (schema.items && r.chance(30)) schema.items.type = r.pick([["string", "null"], ["a", 1]]);
}

function makeProperties(r, depth) {
    const properties = {};
    for (const key of r.many(5, () => r.pick(KEYS))) properties[key] = makeSchema(r, depth);
    const out = { properties };
    if (r.chance(60)) out.required = Object.keys(properties).filter(() => r.chance(50));
    return out;
}

function makeTool(r) {
    const tool = { name: r.pick(NAMES), description: r.pick(TEXTS) };
    if (r.chance(85)) tool.parameters = { type: "object", ...makeProperties(r, 2) };
    if (r.chance(15)) tool.response = { type: r.pick(["object", "string"]), ...(r.chance(60) ? { description: r.pick(TEXTS) } : {}) };
    return { type: "function", function: tool };
}

function makeParts(r) {
    return r.many(4, () => {
        switch (r.below(7)) {
            case 0: return { type: "image" };
            case 1: return { type: "image_url", image_url: { url: "data:," } };
            case 2: return { type: r.pick(["audio", "input_audio"]) };
            case 3: return { type: "video" };
            default: return { type: "text", text: r.pick(TEXTS) };
        }
    });
}

function makeAnswer(r) {
    const text = r.pick(TEXTS);
    if (r.chance(15)) return `<|channel>thought\n${r.pick(THOUGHTS)}<channel|>${text}`;
    if (r.chance(5)) return `${text}<channel|> tail <|channel>open`;
    return text;
}

function makeResult(r, call, index, asParts) {
    const result = { role: "tool" };
    if (call?.id !== undefined) result.tool_call_id = r.chance(90) ? call.id : `unknown-${index}`;
    if (r.chance(30)) result.name = r.pick(NAMES);
    result.content = asParts ? makeParts(r) : r.chance(60) ? r.pick(TEXTS) : makeObject(r, 2);
    return result;
}

function makeAssistant(r, messages, index) {
    const message = { role: "assistant" };
    if (r.chance(35)) message[r.pick(["reasoning", "reasoning_content"])] = r.pick(THOUGHTS);
    const calls = r.chance(45) ? Array.from({ length: 1 + r.below(3) }, (_, i) => {
        const call = { type: "function", function: { name: r.pick(NAMES), arguments: r.chance(95) ? makeObject(r, 2) : null } };
        if (r.chance(80)) call.id = `call-${index}-${i}`;
        return call;
    }) : [];
    if (calls.length > 0) message.tool_calls = calls;
    message.content = calls.length > 0 && r.chance(60) ? r.pick([null, ""]) : r.chance(85) ? makeAnswer(r) : makeParts(r);
    messages.push(message);
    const asParts = r.chance(30); // all or none, since objects and parts cannot go together (forTemplate below)
    if (r.chance(calls.length > 0 ? 80 : 5)) for (const call of calls.length > 0 ? calls : [undefined]) messages.push(makeResult(r, call, index, asParts));
}

export function makeConversation(seed, odd = false) {
    const r = generator(seed);
    r.odd = odd;
    const messages = [];
    if (r.chance(40)) messages.push({ role: r.pick(["system", "developer"]), content: r.chance(70) ? r.pick(TEXTS) : r.many(3, () => ({ type: "text", text: r.pick(TEXTS) })) });
    const length = 1 + r.below(6);
    for (let i = 0; i < length; ++i) {
        if (i === 0 ? r.chance(95) : r.chance(50)) messages.push({ role: "user", content: r.chance(70) ? r.pick(TEXTS) : makeParts(r) });
        else if (r.chance(4)) messages.push({ role: r.pick(["system", "developer"]), content: r.pick(TEXTS) });
        else makeAssistant(r, messages, i);
    }
    const conversation = { messages, enable_thinking: r.chance(50), preserve_thinking: r.chance(30), add_generation_prompt: r.chance(85) };
    if (r.chance(50)) conversation.tools = r.many(3, () => makeTool(r));
    return conversation;
}

/**
 * The same conversation for the published template. It takes results that are objects only as "tool_responses" of the
 * message that has the calls (as a tool's content, it mistakes them for lists of parts).
 */
export function forTemplate(conversation) {
    const { messages, ...rest } = structuredClone(conversation);
    const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
    for (let i = 0; i < messages.length; ++i) {
        let end = i + 1;
        while (messages[end]?.role === "tool") ++end;
        const results = messages.slice(i + 1, end), calls = messages[i].tool_calls;
        if (!calls || !results.some((result) => isObject(result.content))) continue;
        const nameOf = (result) => calls.findLast((call) => call.id === result.tool_call_id)?.function.name ?? result.name ?? "unknown";
        messages[i].tool_responses = results.map((result) => ({ name: nameOf(result), response: result.content }));
        messages.splice(i + 1, results.length);
    }
    return { messages, ...rest };
}
