import { isUpgrade } from "./headers.ts";

/** Whether a person's browser asks for a page, rather than a program for an answer. Pure. */
export const wantsPage = (request: Request): boolean =>
  request.method === "GET" &&
  !isUpgrade(request.headers) &&
  (request.headers.get("accept") ?? "").includes("text/html");
