/** The tree of RFC 6962 against its recursive definition. */
import { describe, expect, it } from 'vitest';
import { growingTree, leafHash, merkleRoot, nodeHash } from './merkle.ts';
import { bytesToHex, hexToBytes, sha256 } from './sha256.ts';

// The eight leaves and roots of Certificate Transparency's reference tests (RFC 6962 section 2.1).
const leaves = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'].map(
  (h) => leafHash(hexToBytes(h)),
);
const roots = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

/** RFC 6962 section 2.1 as it is written: split at the largest power of two below n. */
function byDefinition(d: readonly Uint8Array[]): Uint8Array {
  if (d.length === 0) return sha256(new Uint8Array(0));
  if (d.length === 1) return d[0]!;
  let k = 1;
  while (k * 2 < d.length) k *= 2;
  return nodeHash(byDefinition(d.slice(0, k)), byDefinition(d.slice(k)));
}

describe('RFC 6962 Merkle tree', () => {
  it.each(roots.map((root, size) => [size, root] as const))('has the known root at size %i', (size, root) => {
    expect(bytesToHex(merkleRoot(leaves.slice(0, size)))).toBe(root);
  });

  it('is the recursive definition at every size up to 130, while it grows', () => {
    const many = Array.from({ length: 130 }, (_, i) => leafHash(Uint8Array.of(i)));
    const tree = growingTree();
    for (let size = 0; size <= many.length; size += 1) {
      expect(tree.size).toBe(size);
      expect(bytesToHex(tree.root())).toBe(bytesToHex(byDefinition(many.slice(0, size))));
      if (size < many.length) tree.add(many[size]!);
    }
  });

  it('tells leaves from nodes', () => {
    const [a, b] = [leaves[1]!, leaves[2]!];
    const both = new Uint8Array([...a, ...b]);
    expect(bytesToHex(leafHash(both))).not.toBe(bytesToHex(nodeHash(a, b)));
  });
});
