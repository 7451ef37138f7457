/** Progress that the server tells in lines of NDJSON while it works. Browser-safe. */
import type { Progress } from './http.ts';

/** The progress that a line tells; undefined for another line, and for one that is broken. */
function read(line: string, phase: string): Progress | undefined {
  try {
    // What the server writes; a line that an earlier attempt left unended is none.
    const { progress } = JSON.parse(line) as { progress?: { phase?: string; done: number; total: number } };
    if (progress === undefined) return undefined;
    const { done, total } = progress;
    return { phase: progress.phase ?? phase, done, ...(total > 0 ? { total } : {}), unit: 'facts' };
  } catch {
    return undefined;
  }
}

/** Takes the pieces of a body and tells each line of progress. `phase`: where a line names none. Undefined where nobody listens. */
export function tellProgress(
  phase: string,
  listener: ((progress: Progress) => void) | undefined,
): ((piece: Uint8Array) => void) | undefined {
  if (listener === undefined) return undefined;
  const decoder = new TextDecoder();
  let rest = '';
  return (piece) => {
    rest += decoder.decode(piece, { stream: true });
    if (!piece.includes(10)) return; // the end may be a line of many pieces
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const progress = read(line, phase);
      if (progress) listener(progress);
    }
  };
}
