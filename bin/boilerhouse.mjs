#!/usr/bin/env node
// The command line's first step: plain JavaScript for whatever Node is there (20.19 or later). The command is TypeScript,
// which a newer Node runs as it is; an older one hands over to the Node 24 that is one of this checkout's packages.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const bin = fileURLToPath(new URL(".", import.meta.url));
const command = join(bin, "cli", "main.ts");
const modules = join(bin, "..", "node_modules");
const node24 = join(modules, "node", "bin", process.platform === "win32" ? "node.exe" : "node");

if (!existsSync(join(modules, "openapi-fetch"))) {
  fail("The packages of this checkout are not installed: run `npm ci` (or `npm start`, which does) in it first.");
} else if (process.features.typescript && Number(process.versions.node.split(".")[0]) >= 24) {
  await import(command);
} else if (existsSync(node24)) {
  const child = spawn(node24, ["--disable-warning=ExperimentalWarning", command, ...process.argv.slice(2)], {
    stdio: "inherit",
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("error", (problem) => fail(problem.message));
  child.on("exit", (code, signal) => process.exit(signal ? 130 : (code ?? 1)));
} else {
  fail("This needs Node 24, or the npm package `node` of this checkout: run `npm ci` in it.");
}

function fail(message) {
  console.error(message);
  process.exitCode = 1;
}
