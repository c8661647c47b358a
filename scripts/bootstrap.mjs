// The first step of every command: plain JavaScript for whatever Node is there (20.19 or later), no packages. It installs
// the packages when they are missing or differ from package-lock.json, and runs the command itself under the Node 24 that
// is one of them, where TypeScript runs as it is.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const modules = join(root, "node_modules");
const node24 = join(modules, "node", "bin", process.platform === "win32" ? "node.exe" : "node");

/** Runs `scripts/NAME.ts` with this process's arguments, and ends as it ends. */
export function run(name) {
  if (packagesAreStale()) installPackages();
  if (!existsSync(node24))
    fail("The npm package `node` has no binary: allow its install script (npm 12: `allowScripts`) and run `npm ci`.");

  const child = spawn(
    node24,
    ["--disable-warning=ExperimentalWarning", join(root, "scripts", `${name}.ts`), ...process.argv.slice(2)],
    {
      cwd: root,
      // The fourth channel tells the child when this process has gone, however it went.
      stdio: ["inherit", "inherit", "inherit", "ipc"],
      env: { ...process.env, PATH: `${join(modules, ".bin")}${delimiter}${process.env.PATH}` },
    },
  );
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => process.exit(signal ? 1 : code));
}

/** A package that the lock file names is absent or of another version. Optional ones depend on the machine. */
function packagesAreStale() {
  const installed = read(join(modules, ".package-lock.json"));
  const wanted = read(join(root, "package-lock.json"));
  if (!wanted) fail("package-lock.json is missing: restore it from git.");
  if (!installed) return true;
  return Object.entries(wanted.packages).some(
    ([path, { version, optional }]) => path && !optional && installed.packages[path]?.version !== version,
  );
}

function read(path) {
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : null;
}

function installPackages() {
  console.log("▸ Installing the npm packages that package-lock.json names (npm ci)");
  const outcome = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: root,
    stdio: ["ignore", "inherit", "pipe"],
    encoding: "utf8",
  });
  if (outcome.status === 0) return;
  // npm's first lines say what is wrong; dozens of lines of usage follow.
  fail(`npm ci failed:\n${(outcome.stderr ?? String(outcome.error)).split("\n").slice(0, 12).join("\n")}`);
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
