import uuid

from app.identity.local.security.sealing import FactorSecrets


def test_secret_opens_for_its_factor_and_key_only() -> None:
    factor, other = uuid.uuid4(), uuid.uuid4()
    secrets = FactorSecrets("sb_secret_one")
    sealed = secrets.seal(factor, "JBSWY3DPEHPK3PXP")
    assert secrets.open(factor, sealed) == "JBSWY3DPEHPK3PXP"
    assert sealed != secrets.seal(factor, "JBSWY3DPEHPK3PXP")
    assert secrets.open(other, sealed) is None
    assert FactorSecrets("sb_secret_two").open(factor, sealed) is None
    assert secrets.open(factor, "sealed:1:AAAA") is None


def test_secret_that_was_not_sealed_is_kept() -> None:
    assert FactorSecrets("sb_secret_one").open(uuid.uuid4(), "JBSWY3DPEHPK3PXP") == "JBSWY3DPEHPK3PXP"
