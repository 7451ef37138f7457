/** Checkpoints that were kept outside the database, against the log as it is: the root at each size, from the facts themselves. */
import { growingTree } from '../../domain/hash/merkle.ts';
import { bytesToHex } from '../../domain/hash/sha256.ts';
import type { Checkpoint } from '../../domain/ledger/checkpoint.ts';
import { nodeSha256 } from '../../store/log/leaf.ts';
import { createFindings, type Findings } from '../finding.ts';

/** A checkpoint and who kept it: the name of a file, or the folder of the blobs. */
export interface KeptCheckpoint extends Checkpoint {
  readonly from: string;
}

export interface AnchorCheck extends Findings {
  /** @param leaf made from the row of the fact, not the one that is stored */
  see(leaf: Uint8Array): void;
  end(): void;
}

/**
 * @param kept    in any order
 * @param origins of this log, from its first to its present one; a checkpoint of another log says nothing about this one
 */
export function checkAnchors(kept: readonly KeptCheckpoint[], origins: readonly string[]): AnchorCheck {
  const findings = createFindings('anchor');
  const tree = growingTree(nodeSha256);
  const bySize = kept.toSorted((a, b) => a.size - b.size);
  let next = 0;

  function compare(): void {
    for (let at = bySize[next]; at !== undefined && at.size <= tree.size; at = bySize[next]) {
      next += 1;
      if (!origins.includes(at.origin)) continue; // told at the end, once
      const computed = bytesToHex(tree.root());
      if (computed === at.root) continue;
      const detail = `${at.from} says root ${at.root} at size ${at.size}, the facts give ${computed}: a fact below it was changed, removed or put in`;
      findings.add('root_differs', detail, { index: Math.max(0, at.size - 1) });
    }
  }

  compare();
  return Object.assign(findings, {
    see(leaf: Uint8Array): void {
      tree.add(leaf);
      compare();
    },
    end(): void {
      const root = bytesToHex(tree.root());
      for (const { from, size, root: due, origin } of bySize.slice(next)) {
        if (!origins.includes(origin)) continue;
        const detail = `${from} covers ${size} facts with root ${due}, the log holds ${tree.size} with root ${root}: facts were lost`;
        findings.add('log_shorter', detail, { index: tree.size });
      }
      for (const { from, origin } of kept) {
        if (origins.includes(origin)) continue;
        findings.add('other_log', `${from} is of ${origin}, this log is ${origins.join(', ')}`);
      }
    },
  });
}
