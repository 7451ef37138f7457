/** Pure. The entry of the ONNX room. */
export { buildMlp, OPSET } from './build.ts';
export { compareOutputs, GOLDEN_ROWS, goldenInputs, isConstant, type Comparison } from './golden.ts';
export { readInitialisers } from './initialisers.ts';
export { exposeLogits } from './logits.ts';
export { referenceForward } from './reference.ts';
