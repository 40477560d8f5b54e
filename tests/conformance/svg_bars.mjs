// A picture of ratios: one bar each from 0, a line at 1. Self-contained SVG, light and dark.

const escape = (text) => text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);

/** `items`: [{ label, value }], value > 0. -> the file's text */
export function bars(title, items) {
    const left = 250;
    const width = 800;
    const rowHeight = 24;
    const top = 48;
    const height = top + rowHeight * items.length + 40;
    const most = Math.max(1.2, ...items.map(({ value }) => value)) * 1.1;
    const x = (value) => left + ((width - left - 20) * value) / most;
    const step = [0.25, 0.5, 1, 2, 5, 10].find((s) => most / s <= 8) ?? Math.ceil(most / 8);
    const out = [
        `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escape(title)}">`,
        "<style>text{font:13px system-ui,sans-serif;fill:#222}.title{font-weight:600}.bar{fill:#2a7f9e}.slow{fill:#b5562b}" +
            ".grid{stroke:#ccc}.one{stroke:#222;stroke-width:1.5}.back{fill:#fff}@media(prefers-color-scheme:dark){text{fill:#ddd}" +
            ".back{fill:#161616}.grid{stroke:#444}.one{stroke:#ddd}}</style>",
        `<rect class="back" width="${width}" height="${height}"/>`,
        `<text class="title" x="12" y="24">${escape(title)}</text>`,
    ];
    const bottom = top + rowHeight * items.length + 4;
    for (let value = 0; value <= most; value += step) {
        out.push(`<line class="grid" x1="${x(value)}" x2="${x(value)}" y1="${top - 6}" y2="${bottom}"/>`);
        out.push(`<text x="${x(value)}" y="${bottom + 18}" text-anchor="middle">${value}</text>`);
    }
    for (const [i, { label, value }] of items.entries()) {
        const y = top + rowHeight * i;
        out.push(`<text x="${left - 10}" y="${y + 14}" text-anchor="end">${escape(label)}</text>`);
        out.push(`<rect class="${value < 1 ? "slow" : "bar"}" x="${left}" y="${y + 2}" width="${(x(value) - left).toFixed(1)}" height="${rowHeight - 7}"/>`);
        out.push(`<text x="${(x(value) + 6).toFixed(1)}" y="${y + 14}">${value.toFixed(2)}</text>`);
    }
    out.push(`<line class="one" x1="${x(1)}" x2="${x(1)}" y1="${top - 6}" y2="${bottom}"/>`);
    out.push("</svg>");
    return out.join("\n") + "\n";
}
