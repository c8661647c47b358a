import { closeCode, closeReason } from "./close.ts";
import type { CloseSocket } from "./open-requests.ts";

/** What either direction may hold back for a slow reader. */
const MAX_BUFFERED_BYTES = 1_048_576;

export interface BridgeEvents {
  /** Whether the container still serves whoever opened the socket: every frame asks anew, as every request does (P-FENCE). */
  isCurrent(): boolean;
  /** A frame passed, in either direction. */
  onFrame(): void;
  /** Both sides are closed, or told to. */
  onEnd(): void;
}

/** Pumps frames between two accepted sockets until either ends; the other is told how. Answers with a way to close both. */
export function bridge(client: WebSocket, container: WebSocket, events: BridgeEvents): CloseSocket {
  let ended = false;
  const end = (toClient: [number, string], toContainer: [number, string]) => {
    if (ended) return;
    ended = true;
    close(client, ...toClient);
    close(container, ...toContainer);
    events.onEnd();
  };
  const closeBoth: CloseSocket = (code, reason) => end([code, reason], [code, reason]);

  const pump = (from: WebSocket, to: WebSocket) => {
    from.binaryType = "arraybuffer";
    from.addEventListener("message", ({ data }) => {
      if (ended) return;
      if (!events.isCurrent()) return closeBoth(1012, "The container does not serve this socket any more.");
      events.onFrame();
      const bytes = sizeOf(data);
      if (bytes > MAX_BUFFERED_BYTES) return closeBoth(1009, "Messages of more than 1 MiB do not pass.");
      // Older versions of workerd (before November 2026) do not say what they hold.
      const held = to.bufferedAmount || 0;
      if (held + bytes > MAX_BUFFERED_BYTES) return closeBoth(1013, "The receiver is too slow.");
      to.send(data);
    });
    from.addEventListener("close", ({ code, reason }) => {
      const told: [number, string] = [closeCode(code), closeReason(reason)];
      end(told, told);
    });
    from.addEventListener("error", () => closeBoth(1011, "The connection broke."));
  };
  pump(client, container);
  pump(container, client);
  return closeBoth;
}

function close(socket: WebSocket, code: number, reason: string): void {
  const open = socket.readyState === WebSocket.OPEN || socket.readyState === WebSocket.CONNECTING;
  if (open) socket.close(code, closeReason(reason));
}

/** Bytes on the wire; exact only where it matters. */
function sizeOf(data: string | ArrayBuffer | Blob): number {
  if (typeof data !== "string") return data instanceof ArrayBuffer ? data.byteLength : data.size;
  if (data.length * 3 <= MAX_BUFFERED_BYTES) return data.length;
  return new TextEncoder().encode(data).length;
}
