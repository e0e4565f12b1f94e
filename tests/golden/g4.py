#!/usr/bin/env python3
"""The four-dimensional Gaussian problem "G4", solved in f64 by samplers written from their papers.

    python3 -m pip install numpy && python3 tests/golden/g4.py

It shares nothing with the Rust code: schedules are in beta, alpha and abar, the denoiser is a matrix inverse, and the
transitions are those of the papers (arXiv 2006.11239, 2010.02502, 2206.00364, 2305.08995, 2212.00490, 2209.14687). With a
Gaussian prior almost all of them are affine in their noise, so that a run without noise gives the mean of the output, and
runs with a single one in the noise give its covariance. README.md says how the printed numbers are used.
"""

import numpy as np

C = np.array([[.30, .10, .05, .00], [.10, .25, .08, .04], [.05, .08, .20, .06], [.00, .04, .06, .15]])
MU = np.array([.2, -.1, .3, .05])
A = np.array([[.5, .3, -.2, .1], [.1, -.4, .3, .6]])
Y = np.array([.4, -.3])
SIGMA_Y = .1
T = 1000
PINV = np.linalg.pinv(A)

beta = np.linspace(1e-4, .02, T)
abar = np.cumprod(1 - beta)


def ab(t):
    """abar of index t; the clean level is -1."""
    return abar[t] if t >= 0 else 1.


def jacobian(c, v):
    """d E[x0|x] / dx for x = c*x0 + sqrt(v)*noise."""
    return c * C @ np.linalg.inv(c * c * C + v * np.eye(4))


def denoise(x, c, v):
    return MU + (x - c * MU) @ jacobian(c, v)


def denoise_at(x, t):
    return denoise(x, np.sqrt(ab(t)), 1 - ab(t))


# Noise: row 0 of a batch is the run without any; rows 1, 2, .. have a single one each.
class Probe:
    def __init__(self, rows):
        self.rows, self.drawn = rows, 0

    def __call__(self):
        z = np.zeros((self.rows, 4))
        first = 1 + 4 * self.drawn
        if self.rows > 1:
            z[first:first + 4] = np.eye(4)
        self.drawn += 1
        return z


def moments(sampler):
    """Mean, and variance of each coordinate, of an affine sampler."""
    count = Probe(1)
    sampler(count)
    out = sampler(Probe(1 + 4 * count.drawn))
    return out[0], ((out[1:] - out[0]) ** 2).sum(0)


# Grids, as lists of indices that end with -1.
def space(n):
    return [round(i * (T - 1) / (n - 1)) for i in range(n)][::-1] + [-1]


def uniform(n):
    return list(range(0, T, T // n))[::-1] + [-1]


def diffpir_quad(n):
    q = [int(v) for v in np.sqrt(np.linspace(0, T * T, n))]
    q[-1] -= 1
    return [T - 1 - v for v in q]


def pairs(grid):
    return zip(grid[:-1], grid[1:])


# Samplers.
def ancestral_coefficients(t, s):
    """alpha, beta and beta tilde of the respaced chain."""
    al = ab(t) / ab(s)
    be = 1 - al
    return al, be, be * (1 - ab(s)) / (1 - ab(t))


def ancestral_mean(x, x0, t, s):
    al, be, _ = ancestral_coefficients(t, s)
    return np.sqrt(ab(s)) * be / (1 - ab(t)) * x0 + np.sqrt(al) * (1 - ab(s)) / (1 - ab(t)) * x


def ddpm(z, grid, large):
    x = z()
    for t, s in pairs(grid):
        _, be, small = ancestral_coefficients(t, s)
        x = ancestral_mean(x, denoise_at(x, t), t, s)
        if s >= 0:
            x = x + np.sqrt(be if large else small) * z()
    return x


def ddim(z, grid, eta):
    x = z()
    for t, s in pairs(grid):
        x0 = denoise_at(x, t)
        eps = (x - np.sqrt(ab(t)) * x0) / np.sqrt(1 - ab(t))
        sig = eta * np.sqrt((1 - ab(s)) / (1 - ab(t))) * np.sqrt(1 - ab(t) / ab(s))
        x = np.sqrt(ab(s)) * x0 + np.sqrt(max(0., 1 - ab(s) - sig ** 2)) * eps
        if sig > 0:
            x = x + sig * z()
    return x


def edm(z, n, heun, lo=.002, hi=80., rho=7.):
    ladder = (hi ** (1 / rho) + np.arange(n) / (n - 1) * (lo ** (1 / rho) - hi ** (1 / rho))) ** rho
    ladder = list(ladder) + [0.]
    x = ladder[0] * z()
    for i in range(n):
        now, then = ladder[i], ladder[i + 1]
        d = (x - denoise(x, 1., now ** 2)) / now
        y = x + (then - now) * d
        if heun and i < n - 1:
            e = (y - denoise(y, 1., then ** 2)) / then
            y = x + (then - now) * (d + e) / 2
        x = y
    return x


# Methods.
def prox(x0, rho):
    return (A.T @ Y + rho * x0) @ np.linalg.inv(A.T @ A + rho * np.eye(4))


def diffpir(z, n, zeta, lam=1., last="prox"):
    grid = diffpir_quad(n)
    x = z()
    for i, t in enumerate(grid):
        x0 = denoise_at(x, t)
        if i == len(grid) - 1 and last == "level":
            return x
        rho = lam * SIGMA_Y ** 2 * ab(t) / (1 - ab(t))
        x0y = prox(x0, rho)
        if i == len(grid) - 1:
            return x0y
        s = grid[i + 1]
        eps = (x - np.sqrt(ab(t)) * x0y) / np.sqrt(1 - ab(t))
        x = np.sqrt(ab(s)) * x0y + np.sqrt(1 - ab(s)) * np.sqrt(1 - zeta) * eps
        if zeta > 0:
            x = x + np.sqrt(1 - ab(s)) * np.sqrt(zeta) * z()


def ddnm(z, grid, eta, rule):
    x = z()
    for t, s in pairs(grid):
        x0 = denoise_at(x, t)
        x0y = x0 + (Y - x0 @ A.T) @ PINV.T
        eps = (x - np.sqrt(ab(t)) * x0) / np.sqrt(1 - ab(t))
        if rule == "posterior":
            x = ancestral_mean(x, x0y, t, s)
            sig = np.sqrt(ancestral_coefficients(t, s)[2])
        else:
            sig = eta * np.sqrt(1 - ab(s))
            if rule == "ddim":
                sig = eta * np.sqrt((1 - ab(s)) / (1 - ab(t))) * np.sqrt(1 - ab(t) / ab(s))
            x = np.sqrt(ab(s)) * x0y + np.sqrt(max(0., 1 - ab(s) - sig ** 2)) * eps
        if sig > 0:
            x = x + sig * z()
    return x


def ddnm_plus(z, grid, eta, sigma_y):
    """Section 3.3 of the paper, with all of V: V D2 V^T eps."""
    _, sv, vt = np.linalg.svd(A)
    x = z()
    for t, s in pairs(grid):
        x0 = denoise_at(x, t)
        eps = (x - np.sqrt(ab(t)) * x0) / np.sqrt(1 - ab(t))
        a, sg = np.sqrt(ab(s)), np.sqrt(1 - ab(s))
        # Not measured: the sampler's own.
        lam, d1, d2 = np.zeros(4), np.full(4, sg * eta), np.full(4, sg * np.sqrt(1 - eta ** 2))
        for i, v in enumerate(sv):
            d2[i] = 0.
            if sg >= a * sigma_y / v:
                lam[i], d1[i] = 1., np.sqrt(sg ** 2 - (a * sigma_y / v) ** 2)
            else:
                lam[i] = v * sg * np.sqrt(1 - eta ** 2) / (a * sigma_y)
        x0y = x0 + (((Y - x0 @ A.T) @ PINV.T) @ vt.T * lam) @ vt
        x = a * x0y + (eps @ vt.T * d2) @ vt
        if s >= 0:
            x = x + (z() @ vt.T * d1) @ vt
    return x


def dps(z, rule, size, large=True):
    x = z()
    for t in range(T - 1, -1, -1):
        x0 = denoise_at(x, t)
        r = Y - x0 @ A.T
        norm = np.sqrt((r ** 2).sum(1, keepdims=True))
        square = -2 * r @ A @ jacobian(np.sqrt(ab(t)), 1 - ab(t))  # gradient of |r|^2
        step = {
            "code": lambda: size * square / (2 * norm),
            "paper": lambda: size / norm * square,
            "squared": lambda: size * square,
            "normalised": lambda: size * square / np.sqrt((square ** 2).sum(1, keepdims=True)),
            "likelihood": lambda: beta[t] / (2 * SIGMA_Y ** 2 * np.sqrt(1 - beta[t])) * square,
        }[rule]()
        _, be, small = ancestral_coefficients(t, t - 1)
        x = ancestral_mean(x, x0, t, t - 1) - step
        if t > 0:
            x = x + np.sqrt(be if large else small) * z()
    return x


def ddnm_travelling(z, n, eta, length):
    """Each stretch of `length` steps is walked twice."""
    grid = uniform(n)
    jumps = {j for j in range(0, n - length, length)}  # levels below, where one turns back once
    at, x = 0, z()
    while at < n:
        t, s = grid[at], grid[at + 1]
        below = n - 1 - at
        if below in jumps:
            jumps.remove(below)
            at -= length
            ratio = ab(grid[at]) / ab(t)
            x = np.sqrt(ratio) * x + np.sqrt(1 - ratio) * z()
            continue
        x0 = denoise_at(x, t)
        eps = (x - np.sqrt(ab(t)) * x0) / np.sqrt(1 - ab(t))
        x = np.sqrt(ab(s)) * (x0 + (Y - x0 @ A.T) @ PINV.T) + np.sqrt((1 - ab(s)) * (1 - eta ** 2)) * eps
        if s >= 0 and eta > 0:
            x = x + eta * np.sqrt(1 - ab(s)) * z()
        at += 1
    return x


def ddrm(z, grid, eta, eta_b, sigma_y):
    """In VE scaling, coordinate by coordinate; the boundary belongs to the measured case."""
    u, sv, vt = np.linalg.svd(A)
    seen = u.T @ Y / sv
    x = z()
    for t, s in pairs(grid):
        x0 = denoise_at(x, t)
        e = (x - np.sqrt(ab(t)) * x0) / np.sqrt(1 - ab(t)) @ vt.T
        x0 = x0 @ vt.T
        fresh = z() @ vt.T if s >= 0 else np.zeros_like(x0)
        tau, kept = np.sqrt((1 - ab(s)) / ab(s)), np.sqrt(1 - eta ** 2)
        x = x0 + tau * (kept * e + eta * fresh)
        for i, v in enumerate(sv):
            noise = sigma_y / v
            if tau >= noise:
                x[:, i] = (1 - eta_b) * x0[:, i] + eta_b * seen[i] + np.sqrt(tau ** 2 - (eta_b * noise) ** 2) * fresh[:, i]
            else:
                x[:, i] = x0[:, i] + tau * (kept * (seen[i] - x0[:, i]) / noise + eta * fresh[:, i])
        x = np.sqrt(ab(s)) * x @ vt
    return x


def dds(z, grid, eta, gamma):
    """With as many conjugate gradients as there are singular values: in closed form. gamma = 0 for a measurement without noise. The
    step to the last level is the code's, without noise."""
    x = z()
    for k, (t, s) in enumerate(pairs(grid)):
        x0 = denoise_at(x, t)
        eps = (x - np.sqrt(ab(t)) * x0) / np.sqrt(1 - ab(t))
        x0y = prox(x0, 1 / gamma) if gamma else x0 + (Y - x0 @ A.T) @ PINV.T
        x = x0y
        if 0 <= s and k < len(grid) - 3:
            x = np.sqrt(ab(s)) * x0y + np.sqrt(1 - ab(s)) * (np.sqrt(1 - eta ** 2) * eps + eta * z())
    return x


MASK = np.array([1., 1., 0., 0.])


def replaced(x, t, z):
    """The first two coordinates by the measurement, as noisy as level t."""
    noisy = np.sqrt(ab(t)) * np.append(Y, [0, 0])
    return (1 - MASK) * x + MASK * (noisy + np.sqrt(1 - ab(t)) * z() if t >= 0 else noisy)


def ancestral(x, t, s, z):
    x = ancestral_mean(x, denoise_at(x, t), t, s)
    return x + np.sqrt(ancestral_coefficients(t, s)[1]) * z() if s >= 0 else x


def projection(z, grid, code):
    x = z()
    for t, s in pairs(grid):
        x = replaced(ancestral(x, t, s, z), t if code else s, z)
    return x


def repaint(z, grid, repeat):
    """The paper's listing. The step to the clean image has nowhere to go back to: it is made once."""
    x = z()
    for t, s in pairs(grid):
        for u in range(repeat if s >= 0 else 1):
            y = replaced(ancestral(x, t, s, z), s, z)
            if u < repeat - 1:
                x = np.sqrt(ab(t) / ab(s)) * y + np.sqrt(1 - ab(t) / ab(s)) * z()
        x = y
    return x


def repaint_code(z, grid, jump, repeat):
    """Its walk; replaced before each step but the first, and here at the end."""
    n = len(grid) - 1
    left = {k: repeat - 1 for k in range(0, n - jump, jump)}
    x, at, begun = z(), 0, False
    while at < n:
        below = n - 1 - at
        if left.get(below, 0):
            left[below] -= 1
            for _ in range(jump):
                ratio = ab(grid[at - 1]) / ab(grid[at])
                x = np.sqrt(ratio) * x + np.sqrt(1 - ratio) * z()
                at -= 1
            continue
        if begun:
            x = replaced(x, grid[at], z)
        x, begun = ancestral(x, grid[at], grid[at + 1], z), True
        at += 1
    return replaced(x, -1, z)


def mcg(z, grid, weight, code):
    x = z()
    for t, s in pairs(grid):
        r = Y - denoise_at(x, t)[:, :2]
        norm = np.sqrt((r ** 2).sum(1, keepdims=True))
        push = np.pad(r, [(0, 0), (0, 2)]) @ jacobian(np.sqrt(ab(t)), 1 - ab(t)) / norm
        x = replaced(ancestral(x, t, s, z) + weight * push, t if code else s, z)
    return x


def sdedit(z, start, x_img):
    x = np.sqrt(ab(start)) * x_img + np.sqrt(1 - ab(start)) * z()
    for t in range(start, -1, -1):
        x = ancestral(x, t, t - 1, z)
    return x


def dpir(steps):
    # Published sigmas are for [0, 1]: twice that here.
    ladder = np.logspace(np.log10(2 * 49 / 255), np.log10(SIGMA_Y), steps)
    z = PINV @ Y
    for sigma in ladder:
        z = denoise(prox(z, .23 * SIGMA_Y ** 2 / sigma ** 2), 1., sigma ** 2)
    return z


def show(name, sampler, affine=True):
    def numbers(v):
        return " ".join(f"{x:9.6f}" for x in v)

    if affine:
        mean, variance = moments(sampler)
        print(f"{name:34} {numbers(mean)} | {numbers(variance)} | {variance.sum():.5f}")
    else:
        print(f"{name:34} {numbers(sampler(Probe(1))[0])}")


def posterior(sigma):
    gain = C @ A.T @ np.linalg.inv(A @ C @ A.T + sigma ** 2 * np.eye(2))
    return MU + gain @ (Y - A @ MU), np.diag(C - gain @ A @ C)


# Samplers that are Markov chains: mean and covariance by their recursions, from N(0, spread).
def chain(steps, spread):
    mean, cov = np.zeros(4), spread * np.eye(4)
    for m, c, noise in steps:
        mean, cov = m @ mean + c, m @ cov @ m.T + noise * np.eye(4)
    return mean, np.diag(cov)


def score(a, v):
    """The score is push - p @ x."""
    p = np.linalg.inv(a * a * C + v * np.eye(4))
    return p, a * p @ MU


def vp_time(n, ode):
    """Euler-Maruyama or Euler's rule for the ODE, in time (arXiv 2011.13456)."""
    for i, u in enumerate(np.linspace(1, 1e-3, n)):
        a2 = np.exp(-(.1 * u + .5 * 19.9 * u * u))
        b = (.1 + 19.9 * u) / n
        p, push = score(np.sqrt(a2), 1 - a2)
        k = b / 2 if ode else b
        yield (1 + b / 2) * np.eye(4) - k * p, k * push, 0 if ode or i == n - 1 else b


def ve_steps(n, ancestral):
    s = np.append(np.geomspace(50, .01, n), 0)
    for now, then in pairs(s):
        gain = now ** 2 - then ** 2
        p, push = score(1, now ** 2)
        noise = gain * then ** 2 / now ** 2 if ancestral else gain
        yield np.eye(4) - gain * p, gain * push, noise if then > 0 else 0


def score_ald(weight):
    for t in range(T - 1, -1, -1):
        p, push = score(np.sqrt(ab(t)), 1 - ab(t))
        root = np.sqrt(1 - beta[t])
        w = weight(t)
        yield ((np.eye(4) - beta[t] * p) / root - w * A.T @ A, beta[t] * push / root + w * A.T @ Y,
               beta[t] if t > 0 else 0)


def annealed(levels, repeats, step):
    """Langevin steps in the posterior, then one denoising; the norm is taken 2 % large, as the library does to be safe."""
    norm2 = (1.02 * np.linalg.norm(A, 2)) ** 2
    for s in levels:
        precision = 1 / (SIGMA_Y ** 2 + norm2 * s ** 2)
        h = min(step * s ** 2, .5 / (1 / s ** 2 + norm2 * precision))
        p, push = score(1, s ** 2)
        for _ in range(repeats):
            yield np.eye(4) - h * p - h * precision * A.T @ A, h * push + h * precision * A.T @ Y, 2 * h
    j = jacobian(1, levels[-1] ** 2)
    yield j, MU - j @ MU, 0


def pnp_ula(e, d, steps):
    p, push = score(1, e)
    for _ in range(steps):
        yield (np.eye(4) - d * (p + A.T @ A / SIGMA_Y ** 2), d * (push + A.T @ Y / SIGMA_Y ** 2), 2 * d)


def show_chain(name, steps, spread):
    numbers = [" ".join(f"{x:9.6f}" for x in v) for v in chain(steps, spread)]
    print(f"{name:34} {numbers[0]} | {numbers[1]}")


def show_chains():
    norm2 = np.linalg.norm(A, 2) ** 2
    show_chain("euler-maruyama 1000", vp_time(1000, False), 1)
    show_chain("probability flow 1000 euler", vp_time(1000, True), 1)
    show_chain("reverse diffusion 1000", ve_steps(1000, False), 2500)
    show_chain("ve ancestral 1000", ve_steps(1000, True), 2500)
    show_chain("score-ald 1", score_ald(lambda t: 1 / (SIGMA_Y ** 2 + 1)), 1)
    show_chain("score-ald 10", score_ald(lambda t: 1 / (SIGMA_Y ** 2 + 10)), 1)
    show_chain("score-ald clock", score_ald(lambda t: beta[t] / (SIGMA_Y ** 2 + (1 - ab(t)) / ab(t) * norm2)), 1)
    show_chain("annealed langevin 200 x 5", annealed(np.geomspace(20, .02, 200), 5, .5), 400)
    show_chain("pnp-ula 0.0025, settled", pnp_ula(.0025, 4.311e-4, 60000), 0)


def ode_errors():
    """How far DDIM and EDM take two standard deviations of N(0.3, 0.25^2) from 0.8."""
    m, v = .3, .25 ** 2

    def d(x, c, w):
        return m + c * v / (c * c * v + w) * (x - c * m)

    def start(c, w):
        return c * m + 2 * np.sqrt(c * c * v + w)

    for n in [18, 40, 80]:
        ladder = (80 ** (1 / 7) + np.arange(n) / (n - 1) * (.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
        ladder = list(ladder) + [0.]
        x = start(1., ladder[0] ** 2)
        for now, then in pairs(ladder):
            slope = (x - d(x, 1., now ** 2)) / now
            y = x + (then - now) * slope
            if then > 0:
                y = x + (then - now) * (slope + (y - d(y, 1., then ** 2)) / then) / 2
            x = y
        print(f"edm {n:4} heun, error at 2 std      {abs(x - .8):.5f}")
    for n in [10, 50, 100, 1000]:
        grid = uniform(n)
        x = start(np.sqrt(ab(grid[0])), 1 - ab(grid[0]))
        for t, s in pairs(grid):
            x0 = d(x, np.sqrt(ab(t)), 1 - ab(t))
            x = np.sqrt(ab(s)) * x0 + np.sqrt(1 - ab(s)) * (x - np.sqrt(ab(t)) * x0) / np.sqrt(1 - ab(t))
        print(f"ddim {n:4}, error at 2 std          {abs(x - .8):.5f}")


def main():
    for name, sigma in [("exact posterior, sigma_y 0.1", SIGMA_Y), ("exact posterior, sigma_y 0", 0.)]:
        mean, variance = posterior(sigma)
        print(f"{name:34}", " ".join(f"{v:9.6f}" for v in mean), "|", " ".join(f"{v:9.6f}" for v in variance))
    every = list(range(T - 1, -2, -1))
    show("ddpm 1000 small", lambda z: ddpm(z, every, False))
    show("ddpm 1000 large", lambda z: ddpm(z, every, True))
    show("ddpm spaced 100 small", lambda z: ddpm(z, space(100), False))
    show("ddpm spaced 100 large", lambda z: ddpm(z, space(100), True))
    for eta in [0., .5, 1.]:
        show(f"ddim uniform 50 eta {eta}", lambda z: ddim(z, uniform(50), eta))
    show("edm 18 euler", lambda z: edm(z, 18, False))
    show("edm 18 heun", lambda z: edm(z, 18, True))
    for zeta in [0., .3, 1.]:
        show(f"diffpir quad 100 zeta {zeta}", lambda z: diffpir(z, 100, zeta))
    show("diffpir quad 100 zeta 0.3 level", lambda z: diffpir(z, 100, .3, last="level"))
    show("diffpir quad 20 zeta 1", lambda z: diffpir(z, 20, 1.))
    for eta in [0., .85, 1.]:
        show(f"ddnm uniform 100 constant {eta}", lambda z: ddnm(z, uniform(100), eta, "constant"))
    show("ddnm 1000 ddim eta 1", lambda z: ddnm(z, every, 1., "ddim"))
    show("ddnm 1000 ddim eta 0", lambda z: ddnm(z, every, 0., "ddim"))
    show("ddnm 1000 posterior", lambda z: ddnm(z, every, 1., "posterior"))
    show("ddnm+ uniform 100 0.85 sigma_y 0.1", lambda z: ddnm_plus(z, uniform(100), .85, SIGMA_Y))
    show("ddnm uniform 50 0 travel 2 x 2", lambda z: ddnm_travelling(z, 50, 0., 2))
    for n, eta_b, sigma in [(20, 1., .1), (100, 1., .1), (20, .5, .1), (20, 1., 0.)]:
        show(f"ddrm uniform {n} eta_b {eta_b} sigma_y {sigma}", lambda z: ddrm(z, uniform(n), .85, eta_b, sigma))
    for gamma in [0., 1., 10.]:
        show(f"dds uniform 50 gamma {gamma}", lambda z: dds(z, uniform(50), .85, gamma))
    for code in [False, True]:
        show(f"projection 1000 large, code {code}", lambda z: projection(z, every, code))
        show(f"mcg 1000 weight 1, code {code}", lambda z: mcg(z, every, 1., code), affine=False)
    for repeat in [1, 10]:
        show(f"repaint spaced 250 U {repeat}", lambda z: repaint(z, space(250), repeat))
    show("repaint spaced 250 U 50", lambda z: repaint(z, space(250), 50), affine=False)
    show("repaint spaced 250 jumps 10 x 10", lambda z: repaint_code(z, space(250), 10, 10), affine=False)
    show("sdedit from 499 large", lambda z: sdedit(z, 499, PINV @ Y))
    show("dpir 8", lambda z: dpir(8)[None], affine=False)
    show("dps code 0.3", lambda z: dps(z, "code", .3), affine=False)
    show("dps paper 0.15", lambda z: dps(z, "paper", .15), affine=False)
    show("dps normalised 0.01", lambda z: dps(z, "normalised", .01), affine=False)
    show("dps squared 0.05 large", lambda z: dps(z, "squared", .05))
    show("dps likelihood large", lambda z: dps(z, "likelihood", 0.))
    show("dps squared 0.05 small", lambda z: dps(z, "squared", .05, large=False))
    show_chains()
    ode_errors()


if __name__ == "__main__":
    main()
