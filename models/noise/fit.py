"""Fits the noise regression to examples, and writes it.

    python fit.py EXAMPLES.npz... OUT.safetensors

Needs numpy and PyTorch.
"""

import json
import struct
import sys

import numpy as np
import torch

torch.set_num_threads(1)
torch.manual_seed(0)
WIDTH, EPOCHS, BATCH = 48, 160, 256


def loss(net, x, y):
    """The negative log-likelihood of Student's t with 3 degrees of freedom, which forgives examples that nobody could tell."""
    answer = net(x)
    mean, scale = answer[:, :6], answer[:, 6:].clamp(-4, 2)
    return (2 * torch.log1p(((y - mean) / scale.exp()) ** 2 / 3) + scale).mean()


def write(path, arrays):
    header, data = {}, b""
    for name, array in arrays.items():
        array = array.numpy().astype("<f4")
        end = len(data) + array.nbytes
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [len(data), end]}
        data += array.tobytes()
    header = json.dumps(header).encode()
    header += b" " * (-len(header) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header + data)


def main(*names):
    files = [np.load(name) for name in names[:-1]]
    x = torch.tensor(np.concatenate([f["X"] for f in files]))
    y = torch.tensor(np.concatenate([f["Y"] for f in files]))
    held = len(x) // 10
    mean, scale = x[held:].mean(0), x[held:].std(0) + 1e-3
    x = (x - mean) / scale
    layers = [(x.shape[1], WIDTH), (WIDTH, WIDTH), (WIDTH, 12)]
    linear = [torch.nn.Linear(*layer) for layer in layers]
    net = torch.nn.Sequential(linear[0], torch.nn.SiLU(), linear[1], torch.nn.SiLU(), linear[2])
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=1e-3)
    steps = EPOCHS * ((len(x) - held) // BATCH + 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps)
    for epoch in range(EPOCHS):
        order = torch.randperm(len(x) - held) + held
        for part in order.split(BATCH):
            optimizer.zero_grad()
            loss(net, x[part] + 0.02 * torch.randn_like(x[part]), y[part]).backward()
            optimizer.step()
            schedule.step()
        if epoch % 20 == 19:
            with torch.no_grad():
                error = (net(x[:held])[:, :6] - y[:held]).abs()
                noise = [error[:, g][y[:held, g] > np.log(3)].median().item() for g in range(6)]
                print(epoch + 1, loss(net, x[:held], y[:held]).item(), [round(e, 3) for e in noise], flush=True)
    write(names[-1], {**net.state_dict(), "mean": mean, "scale": scale})


if __name__ == "__main__":
    main(*sys.argv[1:])
