import { createServer } from "node:net";

/** Whether nothing listens on a port of this machine's loopback addresses. */
export async function portIsFree(port: number): Promise<boolean> {
  const outcomes = await Promise.all(["127.0.0.1", "::1"].map((host) => listenOnce(port, host)));
  return !outcomes.includes("EADDRINUSE") && !outcomes.includes("EACCES");
}

/** A port that is free now. */
export async function freePort(): Promise<number> {
  const found = await listenOnce(0, "127.0.0.1");
  if (typeof found === "number") return found;
  throw new Error(`no free port: ${found}`);
}

/** Listens and stops: the port it got, or the code of the error. */
function listenOnce(port: number, host: string): Promise<number | string> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (problem: NodeJS.ErrnoException) => resolve(problem.code ?? "unknown"));
    server.listen({ port, host, exclusive: true }, () => {
      const address = server.address();
      const got = address !== null && typeof address === "object" ? address.port : port;
      server.close(() => resolve(got));
    });
  });
}
