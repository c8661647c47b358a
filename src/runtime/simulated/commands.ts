import type { Capture } from "../capture.ts";
import type { ExecOptions, ExecResult } from "../port.ts";
import type { SimulatedContainer } from "./container.ts";
import { FileError, type Owner, ROOT } from "./files.ts";

interface Call {
  container: SimulatedContainer;
  args: readonly string[];
  stdin: Uint8Array;
  env: Readonly<Record<string, string>>;
  user: Owner;
  cwd: string;
  /** Fires when the command is killed. */
  killed: AbortSignal;
  capture: Capture | undefined;
}
interface Output {
  exitCode?: number;
  stdout?: string | Uint8Array;
  stderr?: string;
}
type Command = (call: Call) => Output | Promise<Output>;

/** The few programs of a simulated container. `sh -c` knows simple commands joined by `;` and `&&`, `> FILE`, and `exit N`. */
const COMMANDS: Readonly<Record<string, Command>> = {
  true: () => ({}),
  false: () => ({ exitCode: 1 }),
  echo: ({ args }) => ({ stdout: `${args.join(" ")}\n` }),
  printf: ({ args: [format = ""] }) => ({ stdout: format.replace(/\\n/g, "\n").replace(/\\0/g, "\0") }),
  cat: ({ args, stdin, ...call }) =>
    args.length === 0 ? { stdout: stdin } : { stdout: args.map((path) => text(call, path)).join("") },
  pwd: ({ cwd }) => ({ stdout: `${cwd}\n` }),
  id: ({ args, user }) => ({ stdout: args[0] === "-u" ? `${user.uid}\n` : `uid=${user.uid} gid=${user.gid}\n` }),
  env: ({ env }) => ({
    stdout: Object.entries(env)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(""),
  }),
  printenv: ({ env, args: [name = ""] }) => (name in env ? { stdout: `${env[name]}\n` } : { exitCode: 1 }),
  sleep: async ({ container, args: [seconds] }) => {
    await container.sleep(Number(seconds) * 1000);
    return {};
  },
  rm: ({ args, ...call }) => each(args, (path) => void call.container.files.remove(absolute(call, path))),
  mkdir: ({ args, ...call }) =>
    each(args, (path) => void call.container.files.makeDirectory(absolute(call, path), call.user)),
  touch: ({ args, ...call }) =>
    each(args, (path) => {
      const { files } = call.container;
      const node = files.stat(absolute(call, path));
      if (node) files.change(absolute(call, path), { mtimeNs: BigInt(call.container.now()) * 1_000_000n });
      else files.write(absolute(call, path), "", call.user);
    }),
  chmod: ({ args: [mode = "", ...paths], ...call }) =>
    each(paths, (path) => call.container.files.change(absolute(call, path), { mode: Number.parseInt(mode, 8) })),
  ln: ({ args, ...call }) => {
    const [target = "", path = ""] = args.filter((arg) => arg !== "-s");
    call.container.files.symlink(absolute(call, path), target, call.user);
    return {};
  },
  ls: ({ args: [path = "."], ...call }) => {
    const node = call.container.files.stat(absolute(call, path));
    if (!node) return { exitCode: 2, stderr: `ls: ${path}: No such file or directory\n` };
    const names = node.kind === "directory" ? [...node.children.keys()].sort() : [path];
    return { stdout: names.map((name) => `${name}\n`).join("") };
  },
  sh: ({ args: [flag, script = ""], ...call }) => (flag === "-c" ? shell(call, script) : { exitCode: 2 }),
};

/** Runs one command to its end, as the platform's `exec` does. */
export async function execute(
  container: SimulatedContainer,
  argv: readonly string[],
  options: ExecOptions,
  killed: AbortSignal,
): Promise<ExecResult> {
  const [program = "", ...args] = argv;
  const output = await run(program, {
    container,
    args,
    stdin: bytes(options.stdin ?? ""),
    env: {
      PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      ...container.spec.env,
      ...options.env,
    },
    user: userOf(options.user),
    cwd: options.cwd ?? "/",
    killed,
    capture: options.capture,
  });
  if (options.capture) {
    const { stdout, stderr } = options.capture;
    tell(options.capture, output);
    return { exitCode: output.exitCode ?? 0, stdout: stdout.bytes, stderr: stderr.bytes };
  }
  return { exitCode: output.exitCode ?? 0, stdout: bytes(output.stdout ?? ""), stderr: bytes(output.stderr ?? "") };
}

/** What was printed so far, without what was told before. */
function tell(capture: Capture | undefined, output: Output): void {
  capture?.stdout.push(bytes(output.stdout ?? "").subarray(capture.stdout.length));
  capture?.stderr.push(bytes(output.stderr ?? "").subarray(capture.stderr.length));
}

async function run(program: string, call: Call): Promise<Output> {
  const command = COMMANDS[program.replace(/^.*\//, "")];
  if (!command) return { exitCode: 127, stderr: `sh: 1: exec: ${program}: not found\n` };
  try {
    return await command(call);
  } catch (error) {
    if (error instanceof FileError) return { exitCode: 1, stderr: `${program}: ${error.message}\n` };
    throw error;
  }
}

/** One simple command and what joins it to the one before. */
interface Step {
  joint: string;
  words: string[];
}

async function shell(call: Omit<Call, "args">, script: string): Promise<Output> {
  let stdout = "";
  let stderr = "";
  let exitCode = 0;
  for (const { joint, words } of stepsOf(script)) {
    if (call.killed.aborted) return { exitCode: 137, stdout, stderr };
    if (words.length === 0 || (joint === "&&" && exitCode !== 0)) continue;
    const redirect = words.findIndex((word) => word === ">" || word === ">&2");
    const [program = "", ...args] = redirect < 0 ? words : words.slice(0, redirect);
    if (program === "exit") return { exitCode: Number(args[0] ?? exitCode), stdout, stderr };
    const output = await run(program, { ...call, args });
    exitCode = output.exitCode ?? 0;
    stderr += output.stderr ?? "";
    const printed = new TextDecoder().decode(bytes(output.stdout ?? ""));
    const target = words[redirect + 1];
    if (words[redirect] === ">&2") stderr += printed;
    else if (redirect < 0 || target === undefined) stdout += printed;
    else call.container.files.write(absolute(call, target), printed, call.user);
    tell(call.capture, { stdout, stderr });
  }
  return { exitCode, stdout, stderr };
}

function stepsOf(script: string): Step[] {
  const steps: Step[] = [{ joint: "", words: [] }];
  for (const [token] of script.matchAll(/&&|;|\n|>&2|>|(?:'[^']*'|"[^"]*"|[^\s;&>'"])+/g)) {
    if (token === "&&" || token === ";" || token === "\n") steps.push({ joint: token, words: [] });
    else steps.at(-1)?.words.push(token.replace(/'([^']*)'|"([^"]*)"/g, "$1$2"));
  }
  return steps;
}

function each(args: readonly string[], perform: (path: string) => void): Output {
  for (const path of args) if (!path.startsWith("-")) perform(path);
  return {};
}

const bytes = (value: string | Uint8Array): Uint8Array =>
  typeof value === "string" ? new TextEncoder().encode(value) : value;
const absolute = ({ cwd }: Pick<Call, "cwd">, path: string): string => (path.startsWith("/") ? path : `${cwd}/${path}`);
const text = (call: Pick<Call, "container" | "cwd">, path: string): string =>
  call.container.files.readText(absolute(call, path));

/** Docker's default user is the image's, root. */
function userOf(user: string | undefined): Owner {
  if (user === undefined || user === "root") return ROOT;
  if (user === "workload") return { uid: 10001, gid: 10001 };
  const [uid = "0", gid = uid] = user.split(":");
  return { uid: Number(uid), gid: Number(gid) };
}
