// Adds to package-lock.json the optional packages of other platforms that the registry did not know when npm wrote it: a
// mirror may carry only some. Without them `npm ci` refuses the file. Run it after `npm install NAME`; with `--check` it
// only says whether something is missing.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const SYSTEMS = {
  android: "android",
  darwin: "darwin",
  linux: "linux",
  win32: "win32",
  windows: "win32",
  freebsd: "freebsd",
  openharmony: "openharmony",
};
const PROCESSORS = ["arm64", "x64", "ia32", "riscv64", "ppc64", "s390x", "arm"];

const path = fileURLToPath(new URL("../package-lock.json", import.meta.url));
const lock = JSON.parse(readFileSync(path, "utf8"));
const added = [];
for (const [parent, { optionalDependencies = {}, dev }] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(optionalDependencies)) {
    if (!/^\d/.test(version)) continue;
    const found = places(parent, name);
    const nearest = found.findIndex((place) => lock.packages[place]);
    if (nearest >= 0 && lock.packages[found[nearest]].version === version) continue;
    // As near to the top as another version of it leaves room for.
    const place = found.at(nearest === -1 ? -1 : nearest - 1);
    lock.packages[place] = { version, ...(dev ? { dev } : {}), optional: true, ...platform(name) };
    added.push(`${place}@${version}`);
  }
}

if (added.length === 0) {
  console.log("package-lock.json is complete");
} else if (process.argv.includes("--check")) {
  console.error(`package-lock.json lacks ${added.length} optional packages: run \`node scripts/complete-lock.mjs\``);
  process.exit(1);
} else {
  lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
  writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
  console.log(`added to package-lock.json:\n${added.join("\n")}`);
}

/** Where Node would look for a package from the directory of another: the nearest first, the top last. */
function places(from, name) {
  const found = [`${from}/node_modules/${name}`];
  for (let at = from; at.includes("node_modules/"); ) {
    at = at.slice(0, at.lastIndexOf("node_modules/"));
    found.push(`${at}node_modules/${name}`);
  }
  return found;
}

/** These packages name their platform in their own name, and npm leaves out those of another. */
function platform(name) {
  const words = name.split(/[-/]/);
  const system = words.find((word) => word in SYSTEMS);
  const processor = PROCESSORS.find((known) => words.includes(known)) ?? (words.includes("64") ? "x64" : undefined);
  return {
    ...(processor ? { cpu: [processor] } : {}),
    ...(words.includes("musl") ? { libc: ["musl"] } : {}),
    ...(system ? { os: [SYSTEMS[system]] } : {}),
  };
}
