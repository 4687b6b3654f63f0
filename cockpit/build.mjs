// Writes dist/: what Cockpit serves. The same sources give the same bytes.

import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { build } from "esbuild";
import { PurgeCSS } from "purgecss";

const to = process.argv[2] ?? "dist";
rmSync(to, { recursive: true, force: true });
mkdirSync(to, { recursive: true });

// Preact and PatternFly want their notice with each copy of a part. The package of PatternFly holds none: its license is the same text.
const license = readFileSync("node_modules/preact/LICENSE", "utf8").trim();
const notice = (name, text) => `/*! With parts of ${name}:\n\n${text}\n*/\n`;

await build({
    entryPoints: { index: "src/index.tsx" },
    outdir: to,
    bundle: true,
    minify: true,
    target: ["es2021", "chrome109", "firefox102", "safari16"],
    jsx: "automatic",
    jsxImportSource: "preact",
    legalComments: "inline",
    banner: { js: notice("Preact", license) },
    external: ["*.woff2", "*.svg"],
    logLevel: "warning",
});

// Of PatternFly's rules, those of classes that a page can have.
const style = `${to}/index.css`;
const [purged] = await new PurgeCSS().purge({
    content: [`${to}/index.js`, "index.html"],
    css: [{ raw: readFileSync(style, "utf8") }],
    variables: true,
    fontFace: true,
    keyframes: true,
    safelist: { standard: [/^pf-v6-theme-dark$/, /^pf-m-(primary|secondary|danger|link|warning|info|success|blue|green|orange|red)$/] },
});
writeFileSync(style, notice("PatternFly", license.replace(/^Copyright.*$/m, "Copyright (c) Red Hat, Inc.")) + purged.css);

for (const file of ["index.html", "manifest.json"]) copyFileSync(file, `${to}/${file}`);
