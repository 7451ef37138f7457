/** The bytes of each fact against its leaf, and the leaves against every recorded root. */
import { growingTree } from '../../domain/hash/merkle.ts';
import { bytesToHex } from '../../domain/hash/sha256.ts';
import { leafOf, nodeSha256 } from '../../store/log/leaf.ts';
import { createFindings, subjectOfRow, type Findings, type PresentRow } from '../finding.ts';

/** A fact whose columns no longer give its leaf: something in the row, or the leaf, was changed after it was placed. */
export function checkBytes(): Findings & { see(row: PresentRow): Uint8Array } {
  const findings = createFindings('bytes');
  return Object.assign(findings, {
    /** @returns the leaf that its columns give */
    see(row: PresentRow): Uint8Array {
      const leaf = leafOf(row.event, row.log_index, row.sequenced_at);
      if (row.leaf_hash.equals(leaf)) return leaf;
      const detail = `the stored row gives leaf ${bytesToHex(leaf)}, the log holds ${row.leaf_hash.toString('hex')}`;
      findings.add('leaf_mismatch', detail, subjectOfRow(row));
      return leaf;
    },
  });
}

export interface RecordedRoot {
  /** Number of leaves. */
  readonly tree_size: number;
  readonly root: Buffer;
  /** Its file beside the blobs should be there by now. */
  readonly is_file_due: boolean;
}

export interface TreeCheck extends Findings {
  see(leaf: Uint8Array): void;
  end(): void;
  /** Hex root of all leaves seen. */
  root(): string;
}

/**
 * Folds the leaves and compares at each checkpoint. Leaves and root that were changed together show here: a checkpoint that does
 * not fit, while a later one does, was itself changed; otherwise the log was, between the last that fits and the first that
 * does not.
 *
 * @param roots by rising size
 */
export function checkTree(roots: readonly RecordedRoot[]): TreeCheck {
  const findings = createFindings('tree');
  const tree = growingTree(nodeSha256);
  let next = 0;
  let lastGood = 0;
  let bad: { readonly size: number; readonly recorded: string; readonly computed: string }[] = [];

  function compare({ tree_size, root }: RecordedRoot): void {
    const computed = bytesToHex(tree.root());
    const recorded = root.toString('hex');
    if (computed !== recorded) {
      bad.push({ size: tree_size, recorded, computed });
      return;
    }
    for (const { size, recorded: kept, computed: due } of bad) {
      const detail = `checkpoint of size ${size} says ${kept}, its leaves give ${due}, and the later one of ${tree_size} fits: the checkpoint was changed`;
      findings.add('checkpoint_altered', detail, { index: size - 1 });
    }
    bad = [];
    lastGood = tree_size;
  }

  return Object.assign(findings, {
    see(leaf: Uint8Array): void {
      tree.add(leaf);
      for (let at = roots[next]; at !== undefined && at.tree_size <= tree.size; at = roots[next]) {
        compare(at);
        next += 1;
      }
    },
    end(): void {
      const [first] = bad;
      if (first) {
        const detail = `checkpoint of size ${first.size} says ${first.recorded}, its leaves give ${first.computed}: a leaf of ${lastGood} to ${first.size - 1} was changed, or the checkpoint was (${bad.length} checkpoints do not fit)`;
        findings.add('root_mismatch', detail, { index: lastGood });
      }
      for (const { tree_size } of roots.slice(next)) {
        const detail = `a checkpoint covers ${tree_size} facts, the log holds ${tree.size}`;
        findings.add('checkpoint_beyond_log', detail, { index: tree.size });
      }
    },
    root: () => bytesToHex(tree.root()),
  });
}
