/** Steps of rollouts over HTTP that several tests begin with. */
import { expect } from 'vitest';
import { OWN, type Body, type CallOptions, type TestApi } from './testApi.ts';

/** One stage without a ramp. */
export const plainStage = (percent: number) => ({ percent, ramp: '0s', min_bake: '1h', max_bake: '2h' });

export function rolloutSteps(t: () => TestApi) {
  /** A rollout of `version`, started. */
  async function started(model: string, version: string, ...percents: number[]): Promise<number> {
    const body = { version, stages: percents.map(plainStage), start: true };
    const answer = await t().call('POST', `${OWN}/models/${model}/rollouts`, { body });
    expect(answer.status).toBe(201);
    return Number(answer.body['id']);
  }
  const act = (id: number, verb: string, body: Body = {}, options: CallOptions = {}) =>
    t().call('POST', `${OWN}/rollouts/${id}/${verb}`, { body, ...options });

  /** The version everyone gets, brought there by a person. */
  async function makeStable(model: string, version: string): Promise<number> {
    const id = await started(model, version, 100);
    expect((await act(id, 'advance', { override: true, reason: 'test' })).body).toMatchObject({ status: 'completed' });
    return id;
  }

  return { started, act, makeStable };
}
