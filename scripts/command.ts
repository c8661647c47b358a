import { spawn } from "node:child_process";

export interface Outcome {
  /** Null when it was ended by a signal, the time limit included. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly timeoutMs?: number;
  readonly input?: string;
  /** Called with every piece of output as it comes. */
  readonly onOutput?: (text: string) => void;
}

/** Runs a program to its end. Never throws: a program that cannot be found ends with code 127, as in a shell. */
export function command(program: string, args: readonly string[], options: CommandOptions = {}): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      timeout: options.timeoutMs ?? 600_000,
      killSignal: "SIGKILL",
      stdio: ["pipe", "pipe", "pipe"],
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
      options.onOutput?.(text);
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
      options.onOutput?.(text);
    });
    child.stdin.on("error", () => {}); // a program that does not read its input is not an error of ours
    child.stdin.end(options.input ?? "");
    child.on("error", (problem) => resolve({ code: 127, stdout, stderr: `${stderr}${problem.message}` }));
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
}

/** As `command`, but a non-zero end throws with the last lines that it printed. Returns its standard output. */
export async function must(program: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await command(program, args, options);
  if (code === 0) return stdout;
  const tail = (stderr.trim() || stdout.trim()).split("\n").slice(-8).join("\n");
  throw new Error(`\`${[program, ...args].join(" ").slice(0, 200)}\` ended with ${code}:\n${tail}`);
}

/** Whether a program is on the PATH. */
export async function has(program: string): Promise<boolean> {
  return (await command("sh", ["-c", `command -v ${program}`])).code === 0;
}
